/** Facts that the parts of an attempt read out of a plan. Pure. */
import type { ExchangedColumns } from '../exchange/keyed-output.ts'
import type { SourceInput } from '../job/definition.ts'
import type { JobPlan, TablePlan } from '../job/plan.ts'
import { readsText } from '../operator/accumulators.ts'

/** The columns that windows need behind the exchange: what tables aggregate, and their dimensions. */
export function exchangedColumns(plan: JobPlan): ExchangedColumns {
  const numbers = new Set<number>()
  const texts = new Set<number>()
  if (plan.dedupe !== undefined) texts.add(plan.dedupe.column)
  for (const table of plan.tables) {
    for (const column of textsOfEvents(table)) if (column >= 0) texts.add(column)
    if (table.person?.value !== undefined) numbers.add(table.person.value.column)
    for (const { kind, column } of table.accumulators) {
      if (column < 0) continue
      if (readsText(kind)) texts.add(column)
      else numbers.add(column)
    }
  }
  const columns = { numbers: [...numbers].sort((a, b) => a - b), texts: [...texts].sort((a, b) => a - b) }
  return plan.weight === undefined ? columns : { ...columns, weight: plan.weight }
}

/** Text columns by which a table tells events apart: its dimensions, -1 for the event's key, -2 for what it makes itself. */
export function textsOfEvents({ dimensions, person }: Pick<TablePlan, 'dimensions' | 'person'>): readonly number[] {
  return person?.kind === 'paths' ? [...dimensions, person.of] : dimensions
}

/** The topic that a plan reads, for messages and origins. */
export function topicOf(plan: JobPlan): string {
  return topicOfInput(plan.definition.source.input)
}

/** The topic of an input; those of several sources with a comma. */
export function topicOfInput(input: SourceInput): string {
  if (input.kind === 'several') return input.parts.map((part) => topicOfInput(part.input)).join(', ')
  return input.kind === 'generator' ? 'generator' : input.topic
}
