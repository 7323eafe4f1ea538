/**
 * Carts that nobody paid for: a person puts something into the cart, and does not purchase within an hour.
 *
 *   millrace run jobs/abandoned-carts.ts        runs it in one process, on the embedded log under ./.millrace
 *
 * One result a cart, an hour after it was last touched. The hour is event time: a purchase that was on its way counts,
 * and a replay of last month gives the carts of last month.
 */
import { defineJob, Event, value } from 'millrace'

const HOUR_MS = 3_600_000

/** What is known of an open cart. */
export interface Cart {
  readonly openedMs: number
  readonly touchedMs: number
  readonly items: number
  readonly platform: string
}

/** A cart that was left. */
export interface AbandonedCart extends Cart {
  readonly person: string
}

const state = { cart: value<Cart>() }

export default defineJob({
  name: 'abandoned-carts',
  description: 'Carts without a purchase within an hour',
  source: {
    id: 'events',
    input: { log: { path: '.millrace/log', topic: 'events' } },
    event: Event,
    time: (event) => event.occurredAt,
  },
  watermark: { outOfOrderness: '5s', idleness: '30s' },
  checkpoint: { every: '1s' },
  build: (events) =>
    events
      .filter((event) => isAddToCart(event) || event.name === 'purchase')
      .keyBy((event) => event.person)
      .process<AbandonedCart, typeof state>({
        id: 'carts',
        state,
        onEvent(event, context) {
          const { cart } = context.state
          let open = cart.get()
          if (open !== undefined) context.deleteEventTimer(open.touchedMs + HOUR_MS)
          // The watermark is behind the events: an event may come from beyond the hour before the timer is due.
          if (open !== undefined && context.timestampMs > open.touchedMs + HOUR_MS) {
            context.emit({ person: context.key, ...open })
            open = undefined
          }
          if (event.name === 'purchase') {
            cart.clear()
            return
          }
          const touchedMs = Math.max(open?.touchedMs ?? 0, context.timestampMs)
          cart.set({
            openedMs: open?.openedMs ?? context.timestampMs,
            touchedMs,
            items: (open?.items ?? 0) + 1,
            platform: event.platform,
          })
          context.setEventTimer(touchedMs + HOUR_MS)
        },
        onTimer(_timer, context) {
          const cart = context.state.cart.get()
          if (cart !== undefined) context.emit({ person: context.key, ...cart })
          context.state.cart.clear()
        },
      })
      .sinkTo({
        id: 'abandoned',
        to: { log: { path: '.millrace/log', topic: 'abandoned-carts' } },
        key: (cart) => cart.person,
      }),
})

function isAddToCart(event: Event): boolean {
  const feature = event.properties.feature?.value
  return event.name === 'feature_interaction' && feature?.$case === 'stringValue' && feature.value === 'add_to_cart'
}
