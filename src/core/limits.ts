/**
 * Hard limits of the data plane, in one place: what bounds memory and work per event, whatever an input holds.
 *
 * Limits of one protocol or one command live with it; these are shared. Raising one is safe for stored state, lowering
 * one is not.
 */

/** Most rows of a column batch. Row ids and dictionary ids fit 16 bits because of it. */
export const BATCH_ROWS_MAX = 1024

/** Most bytes (UTF-8) of a text that a job reads out of an event; beyond it the event is a `field_too_long` dead letter. */
export const TEXT_BYTES_MAX = 1024

/** Most bytes of a key; beyond it the event is a `field_too_long` dead letter. */
export const KEY_BYTES_MAX = 1024

/** Largest distance of an event time from 1970 in milliseconds, either way: what a JavaScript Date can hold. */
export const TIME_MS_MAX = 8.64e15
