import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CsvParser } from '../../src/cli/csv.ts'
import { formatOf, readRows, type SourceRow } from '../../src/cli/rows.ts'

function parse(text: string, pieces = 1): string[][] {
  const rows: string[][] = []
  const parser = new CsvParser('x.csv', (cells) => rows.push(cells))
  const size = Math.max(1, Math.ceil(text.length / pieces))
  for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size))
  parser.finish()
  return rows
}

function write(rows: readonly (readonly string[])[], end: string): string {
  const cell = (text: string) => (/[",\r\n]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text)
  return rows.map((row) => row.map(cell).join(',') + end).join('')
}

describe('CsvParser', () => {
  it('reads what a writer wrote, however it is cut', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'é', ',', '"', '\n', '\r', ' ', '\u{1f600}') })
    const rows = fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { maxLength: 6 })
    fc.assert(
      fc.property(rows, fc.constantFrom('\n', '\r\n'), fc.integer({ min: 1, max: 50 }), (table, end, pieces) => {
        expect(parse(write(table, end), pieces)).toEqual(table)
      }),
    )
  })

  it('takes a byte-order mark, a last line without end, blank lines, and quotes inside of cells', () => {
    expect(parse('\ufeffa,b\n\n1,2')).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ])
    expect(parse('5" pipe,x\n')).toEqual([['5" pipe', 'x']])
    expect(parse('a,\n')).toEqual([['a', '']])
  })

  it('says on which line a row begins whose quote is never closed', () => {
    expect(() => parse('a\n"b\nc\n')).toThrow(/^x\.csv:2: a quoted cell/)
  })
})

describe('readRows', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-rows-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  async function read(name: string, content: string | Uint8Array): Promise<SourceRow[]> {
    const path = join(folder, name)
    writeFileSync(path, content)
    const format = formatOf(path)
    expect(format).not.toBeNull()
    const rows: SourceRow[] = []
    for await (const batch of readRows(path, format ?? 'csv')) rows.push(...batch)
    return rows
  }

  it('takes columns between blanks, and says which row has too few', async () => {
    const rows = await read('b.txt', ' id  what\r\n 1   x\r\n\r\n   2 y')
    expect(rows.map(({ number, line, cells }) => [number, line, { ...cells }])).toEqual([
      [1, 2, { id: '1', what: 'x' }],
      [2, 4, { id: '2', what: 'y' }],
    ])
    await expect(read('c.txt', 'id what\n1 x\n2\n')).rejects.toThrow('c.txt:3')
  })

  it('numbers rows and knows their lines', async () => {
    const rows = await read('a.csv.gz', gzipSync('id,text\n1,"two\nlines"\n2,x\n'))
    expect(rows.map(({ number, line, cells }) => [number, line, { ...cells }])).toEqual([
      [1, 2, { id: '1', text: 'two\nlines' }],
      [2, 4, { id: '2', text: 'x' }],
    ])
    const windows = await read('w.csv', 'id\r\n1\r\n\r\n2\r\n')
    expect(windows.map(({ number, line }) => [number, line])).toEqual([
      [1, 2],
      [2, 4],
    ])
    expect((await read('a.tsv', 'id\ttext\n1\ta,b\n'))[0]?.cells.text).toBe('a,b')
  })

  it('reads JSON lines and arrays', async () => {
    const lines = await read('a.jsonl', '{"a":1}\n\n{"a":"\u00e9"}')
    expect(lines.map((row) => [row.number, row.line, row.cells])).toEqual([
      [1, 1, { a: 1 }],
      [2, 3, { a: '\u00e9' }],
    ])
    expect((await read('b.json', '\n [ {"a":1},\n {"a":2} ]')).map((row) => row.cells)).toEqual([{ a: 1 }, { a: 2 }])
  })

  it.each([
    ['a.csv', 'a,b\n1\n', /a\.csv:2: the row has 1 cells where the header has 2/],
    ['b.csv', 'a,a\n', /names column "a" twice/],
    ['c.jsonl', '{"a":1}\n{"a":\n', /c\.jsonl:2: this is not JSON/],
    ['d.jsonl', '{"a":1}\n5\n', /d\.jsonl:2: row 2 is not a JSON object/],
    ['e.json', '[1]', /not a JSON object/],
    ['f.csv.gz', 'not gzip', /cannot read .*f\.csv\.gz/],
  ])('refuses %s', async (name, content, message) => {
    await expect(read(name, content)).rejects.toThrow(message)
  })

  it('keeps a column named __proto__ a column', async () => {
    const rows = await read('p.csv', '__proto__,a\nx,1\n')
    expect(rows[0]?.cells.a).toBe('1')
    expect(Object.entries(rows[0]?.cells ?? {})).toContainEqual(['__proto__', 'x'])
  })
})
