/** The columns of money of a plan under construction: shared, and placed behind those that are read from events. */
import type { TablePlan } from './plan.ts'
import type { MoneyColumn } from './plan-money.ts'

/** Columns from this number on are of money, until all others are known. */
const MONEY_FIRST = 1_000_000

/** The columns of money of a plan under construction. */
export class MoneyColumns {
  readonly list: MoneyColumn[] = []

  /** The number of a column, which is that of one of the same meaning: a stand-in, until `place`. */
  add(column: MoneyColumn): number {
    const known = this.list.findIndex(({ meaning }) => meaning === column.meaning)
    return MONEY_FIRST + (known < 0 ? this.list.push(column) - 1 : known)
  }

  /** The table with its columns of money behind the `first` columns of the schema. */
  place(table: TablePlan, first: number): TablePlan {
    if (this.list.length === 0) return table
    const placeOf = (column: number): number => (column < MONEY_FIRST ? column : column - MONEY_FIRST + first)
    const { person } = table
    const value = person?.value
    const valued = value && { person: { ...person, value: { ...value, column: placeOf(value.column) } } }
    const accumulators = table.accumulators.map((one) => ({ ...one, column: placeOf(one.column) }))
    return { ...table, ...valued, accumulators }
  }
}
