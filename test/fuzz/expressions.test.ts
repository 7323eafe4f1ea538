import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { Column } from '../../src/event/schema.ts'
import { checkExpression, compileExpression } from '../../src/job/predicate.ts'
import { compilePredicates } from '../../src/operator/filter.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { damagedText, fuzz, fuzzRuns, fuzzTimeoutMs, withstand } from './hostile.ts'

const descriptors = builtInDescriptors()
const scope = {
  resolve: (path: readonly string[] | string) => descriptors.resolve('millrace.v1.Event', path),
  enumValue: (name: string) => descriptors.enumValue(name),
}

const good = [
  "name == 'page_view' && revenue_minor > 100",
  "name in ['a', 'b'] || !(platform.startsWith('w'))",
  "properties.plan == 'pro' ? true : size(name) > 3",
  "occurred_at >= timestamp('2024-03-01T00:00:00Z') && occurred_at < timestamp('2025-01-01T00:00:00Z')",
  "name.matches('^(a+)+$') || screen.contains('x')",
  'kind == millrace.v1.EventKind.EVENT_KIND_PAGE && has(properties.plan)',
  "double(revenue_minor) / 3.5 + 1.0 > 2.0 && string(revenue_minor) != '7'",
  "[1, 2, 3].exists(x, x == revenue_minor) || {'a': 1}['a'] == 1",
]
const hostile = [
  '(', ')', '[', ']', '{', '}', '"', "'", '\\', '\\u12', '"""', "r'", '&&', '||', '!', '?', ':', '.', ',', '==', '<=',
  '-', '/', '%', '0', '1e999', '9223372036854775808', '-9223372036854775809', '0x', '1u', 'null', 'true', 'in',
  'revenue_minor', 'name', 'properties', 'nothing', '.all(x, ', '.map(x, x', 'has(', 'size(', 'matches(', 'timestamp(',
  'duration(', 'dyn(', 'type(', 'int(', 'string(', '__proto__', 'constructor', '\u0000', '\ud800', '('.repeat(300),
  '!'.repeat(300), '-'.repeat(300), "'a'+".repeat(100), '[1].map(x, '.repeat(20), '(a+)+$', '//', '\n',
] // biome-ignore format: a list to skim

/** A row of each kind that CEL sees: nothing set, and everything. */
function scanOf(columns: readonly Column[]): ScanBatch {
  const scan = new ScanBatch(columns)
  scan.rows = 2
  const text = new TextEncoder().encode('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')
  columns.forEach(({ encoding }, i) => {
    if (encoding === 'number') scan.numbers[i]!.set([0, 7])
    else scan.texts[i]!.set([0, scan.dictionaries[i]!.intern(text, 0, text.length)])
  })
  return scan
}

describe('hostile expressions', () => {
  it('are refused with a place, or run', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(
      'CEL expressions',
      fuzzRuns,
      fc.property(damagedText(good, hostile), (text) => {
        const checked = withstand(() => checkExpression(text, scope as never))
        if (checked instanceof MillraceError) throw checked
        if ('problems' in checked) {
          expect(checked.problems.length).toBeGreaterThan(0)
          for (const { at, message } of checked.problems) {
            expect(message).not.toBe('')
            expect(at).toBeGreaterThanOrEqual(0)
            expect(at).toBeLessThanOrEqual(text.length)
          }
          return
        }
        const columns: Column[] = []
        const predicate = withstand(() =>
          compileExpression(checked.expression, (field, encoding) => columns.push({ field, encoding }) - 1),
        )
        if (predicate instanceof MillraceError) throw predicate
        const scan = scanOf(columns)
        const evaluator = compilePredicates([predicate], { columns } as never)
        withstand(() => evaluator.evaluate(scan))
      }),
    )
  })
})
