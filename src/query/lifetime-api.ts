/** Asking what persons are likely to bring: plain data, as in query/api.ts. */
import type { MetricInfo } from './metric-info.ts'

/** What is asked about lifetimes: a metric of money by person and day, and how far to look ahead. */
export interface LifetimeQuery {
  readonly job: string
  readonly metric: string
  /** Days that start before this; Infinity for all that are complete. */
  readonly untilMs: number
  /** Steps to look ahead, and days in each. */
  readonly steps: number
  readonly daysPerStep: number
  /** A step: 0.01 is 1 %. */
  readonly discountRate: number
  /** Holds the parameters of small data sets; 0 for none (metrics/bg-nbd-fit.ts). */
  readonly penalizer: number
  /** Only these are told of; none: the most valuable. */
  readonly persons: readonly string[]
  /** Most persons that are told of. */
  readonly limit: number
  /** Gross margin and churn a step, for the steady state; null for none. */
  readonly margin: number | null
  readonly churn: number | null
}

/** A model that was fitted. */
export interface LifetimeFit {
  readonly parameters: Readonly<Record<string, number>>
  readonly persons: number
  readonly logLikelihood: number
}

/** One person: what is known, and what is expected. Amounts in the metric's unit, times in days. */
export interface LifetimePerson {
  readonly person: string
  /** Days with a purchase after the first, and from the first to the last of them. */
  readonly frequency: number
  readonly recency: number
  /** Days from the first purchase to the end of observation. */
  readonly age: number
  /** Mean money of a day with a purchase after the first; 0 without. */
  readonly monetaryValue: number
  /** Probability that the person still buys at all. */
  readonly alive: number
  /** Over the horizon. */
  readonly expectedPurchases: number
  readonly expectedAmount: number
  /** Discounted money over the horizon. */
  readonly value: number
}

/** ARPPU x margin / churn. */
export interface SteadyState {
  /** Money of the last step of days by person who bought in it. NaN where nobody did. */
  readonly arppu: number
  readonly buyers: number
  readonly margin: number
  readonly churn: number
  readonly value: number
}

/** Lifetimes as the models see them. */
export interface LifetimeResult {
  readonly info: MetricInfo
  readonly formula: string
  readonly steps: number
  readonly daysPerStep: number
  readonly discountRate: number
  /** Start of the first day with a purchase, and the days from there on that were seen. */
  readonly sinceMs: number
  readonly days: number
  /** Days of persons on which more was refunded than bought: left out. */
  readonly refundDays: number
  /** BG/NBD: r, alpha, a, b in days. */
  readonly purchases: LifetimeFit
  /** Gamma-Gamma: p, q, v. */
  readonly spend: LifetimeFit
  /** Of how often and how much, over persons who bought again: the models suppose that it is about 0. */
  readonly correlation: number
  /** Of all persons, not only those who are told of. */
  readonly total: number
  readonly mean: number
  readonly steadyState: SteadyState | null
  readonly persons: readonly LifetimePerson[]
  readonly watermarkMs: number
}
