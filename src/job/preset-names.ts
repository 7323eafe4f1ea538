/** The presets that there are. What they say: job/presets.ts. */

/** Products whose definitions have names. */
export const presetNames = ['ga4', 'posthog', 'amplitude', 'plausible', 'matomo'] as const

/** One of them. */
export type PresetName = (typeof presetNames)[number]
