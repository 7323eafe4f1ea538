/** Made-up traffic by the hour, and incidents in it, from a seed. */
import type { Observation } from '../../src/alert/detector.ts'
import type { Noise } from '../../src/alert/noise.ts'
import { Draws } from '../support/draws.ts'

export const HOUR_MS = 3_600_000
export const WEEK_HOURS = 168
/** A Monday, 00:00 UTC. */
export const START_MS = Date.UTC(2024, 0, 1)

/** What ordinary traffic looks like. */
export interface Shape {
  readonly name: string
  readonly noise: Noise
  /** Mean of an hour before the season; of shares the mean of the volume. */
  readonly mean: number
  /** Growth a week: 0.05 is 5 %. */
  readonly growth?: number
  /** Odd hours of three to six times the traffic that mean nothing, a week. */
  readonly spikes?: number
  /** The share, of shares. */
  readonly share?: number
}

/** What goes wrong: traffic (of shares the share) times `factor`, for so many hours. */
export interface Trouble {
  readonly name: string
  readonly factor: number
  readonly hours: number
}

/** One incident of a series. */
export interface Incident extends Trouble {
  readonly fromHour: number
}

/** Night and day, weekdays and weekends: 0.2 to 1.9 times the mean. */
function seasonAt(hour: number): number {
  const ofDay = 1 - 0.8 * Math.cos((2 * Math.PI * ((hour % 24) - 2)) / 24)
  return ofDay * (hour % WEEK_HOURS >= 5 * 24 ? 0.7 : 1.1)
}

/** The hours of so many weeks with an incident, or without. */
export function traffic(shape: Shape, weeks: number, seed: number, incident?: Incident): Observation[] {
  const draws = new Draws(seed)
  return Array.from({ length: weeks * WEEK_HOURS }, (_, hour) => {
    const inIncident = incident !== undefined && hour >= incident.fromHour && hour < incident.fromHour + incident.hours
    const factor = inIncident ? incident.factor : 1
    // No traffic is quite Poisson: a twentieth of the mean is weather.
    const weather = Math.exp(0.05 * draws.normal())
    let mean = shape.mean * seasonAt(hour) * (1 + (shape.growth ?? 0)) ** (hour / WEEK_HOURS) * weather
    const odd = draws.uniform() < (shape.spikes ?? 0) / WEEK_HOURS
    if (odd) mean *= 3 + 3 * draws.uniform()
    const window = { startMs: START_MS + hour * HOUR_MS, endMs: START_MS + (hour + 1) * HOUR_MS, final: true }
    if (shape.share === undefined) return { ...window, value: draws.poisson(mean * factor), volume: 1 }
    const volume = draws.poisson(mean)
    const successes = draws.binomial(volume, Math.min(shape.share * factor, 1))
    return { ...window, value: volume > 0 ? successes / volume : Number.NaN, volume }
  })
}

/** An incident of the kind, at an hour of a range. */
export function incidentIn(trouble: Trouble, fromHour: number, toHour: number, seed: number): Incident {
  const draws = new Draws(seed ^ 0x5f356495)
  return { ...trouble, fromHour: fromHour + Math.floor(draws.uniform() * (toHour - fromHour - trouble.hours)) }
}

/** Shapes of one noise: even, growing, thin, with spikes. */
export function shapesOf(noise: Noise): readonly Shape[] {
  return [
    { name: 'even', noise, mean: 100 },
    { name: 'growing', noise, mean: 100, growth: 0.2 },
    { name: 'thin', noise, mean: 2 },
    { name: 'spikes', noise, mean: 100, spikes: 6 },
  ]
}
