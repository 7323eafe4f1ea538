/**
 * The texts that a kernel knows, by their bytes: code of a function that finds one, or takes it in.
 *
 *   find(table, from, length, any) -> address of the entry, or 0
 *
 * A text that is new is taken in where it is ASCII, or where `any` says that somebody has looked at it. 0 where it is not,
 * where there is no room, or where too many have its slot. Texts stay from batch to batch; which of them are in a batch, and
 * by which id, the entry says.
 */
import {
  ENTRY_BYTES,
  SCRATCH_END,
  TABLE_ARENA,
  TABLE_ARENA_END,
  TABLE_COUNT,
  TABLE_ENTRIES,
  TABLE_SLOTS,
  TEXT_ARENA,
  TEXT_ENTRIES,
  TEXT_SLOTS,
} from './kernel-layout.ts'
import {
  block,
  br,
  brIf,
  bump,
  type Code,
  copy,
  get,
  I32,
  I64,
  i32,
  i64,
  Locals,
  label,
  loop,
  ret,
  set,
  tee,
  type WasmModule,
  when,
} from './wasm-code.ts'

const HIGH_BITS = 0x8080_8080_8080_8080n
const PRIME = 0x9e37_79b9_7f4a_7c15n
/** Slots that are looked at for one text. */
const PROBES_MAX = 32

/** Adds the function; returns its index. */
export function addFind(module: WasmModule): number {
  const [table, from, length, any] = [0, 1, 2, 3] as const
  const locals = new Locals(I32, I32, I32, I32)
  const hash = locals.add(I64)
  const bits = locals.add(I64)
  const word = locals.add(I64)
  const last = locals.add(I64)
  const at = locals.add(I32)
  const end = locals.add(I32)
  const slot = locals.add(I32)
  const entry = locals.add(I32)
  const own = locals.add(I32)
  const probes = locals.add(I32)
  const short = label('short')
  const hashed = label('hashed')
  const words = label('words')
  const search = label('search')
  const next = label('next')
  const fresh = label('fresh')
  const same = label('same')

  const mix = (value: Code): Code => [
    set(bits, i64.or(get(bits), value)),
    set(hash, i64.mul(i64.xor(i64.rotl(get(hash), i64.of(29n)), value), i64.of(PRIME))),
  ]
  const body: Code = [
    // Words of eight bytes; the last one overlaps the one before, and a text of less than eight is one word, cut off.
    set(hash, i64.extendU(get(length))),
    block(
      hashed,
      block(
        short,
        brIf(short, i32.lessU(get(length), i32.of(8))),
        set(last, i64.load(i32.sub(i32.add(get(from), get(length)), i32.of(8)))),
        set(end, i32.sub(i32.add(get(from), get(length)), i32.of(8))),
        set(at, get(from)),
        when(
          i32.lessU(get(at), get(end)),
          loop(
            words,
            set(word, i64.load(get(at))),
            mix(get(word)),
            brIf(words, i32.lessU(tee(at, i32.add(get(at), i32.of(8))), get(end))),
          ),
        ),
        mix(get(last)),
        br(hashed),
      ),
      set(
        last,
        i64.and(
          i64.load(get(from)),
          i64.sub(i64.shl(i64.of(1n), i64.shl(i64.extendU(get(length)), i64.of(3n))), i64.of(1n)),
        ),
      ),
      mix(get(last)),
    ),
    set(slot, i32.wrap(i64.shrU(get(hash), i64.of(51n)))),
    block(
      fresh,
      loop(
        search,
        set(own, i32.load16(i32.add(get(table), i32.shl(get(slot), i32.of(1))), TABLE_SLOTS)),
        brIf(fresh, i32.isZero(get(own))),
        set(entry, i32.add(i32.add(get(table), i32.mul(get(own), i32.of(ENTRY_BYTES))), i32.of(TABLE_ENTRIES))),
        block(
          next,
          brIf(next, i32.differ(i32.load(get(entry), 4), get(length))),
          set(own, i32.load(get(entry))),
          block(
            same,
            brIf(same, i32.lessU(get(length), i32.of(8))),
            // The last word first: texts differ at their end.
            brIf(next, i64.differ(i64.load(i32.sub(i32.add(get(own), get(length)), i32.of(8))), get(last))),
            set(at, get(from)),
            when(
              i32.lessU(get(at), get(end)),
              loop(
                words,
                brIf(next, i64.differ(i64.load(get(at)), i64.load(get(own)))),
                bump(own, 8),
                brIf(words, i32.lessU(tee(at, i32.add(get(at), i32.of(8))), get(end))),
              ),
            ),
            ret(get(entry)),
          ),
          brIf(next, i64.differ(i64.load(get(own)), get(last))),
          ret(get(entry)),
        ),
        set(slot, i32.and(i32.add(get(slot), i32.of(1)), i32.of(TEXT_SLOTS - 1))),
        brIf(search, i32.lessU(tee(probes, i32.add(get(probes), i32.of(1))), i32.of(PROBES_MAX))),
        ret(i32.of(0)),
      ),
    ),
    // A new one.
    when(i32.and(i32.isZero(get(any)), i32.isZero(i64.isZero(i64.and(get(bits), i64.of(HIGH_BITS))))), ret(i32.of(0))),
    set(own, i32.load(get(table), TABLE_COUNT)),
    set(at, i32.load(get(table), TABLE_ARENA_END)),
    when(
      i32.or(
        i32.atLeastU(get(own), i32.of(TEXT_ENTRIES)),
        i32.greaterU(i32.add(get(at), get(length)), i32.add(get(table), i32.of(TABLE_ARENA + TEXT_ARENA - 16))),
      ),
      ret(i32.of(0)),
    ),
    copy(get(at), get(from), get(length)),
    i32.store(i32.add(get(at), get(length)), i32.of(0)),
    i32.store(i32.add(get(at), get(length)), i32.of(0), 4),
    i32.store16(i32.add(get(table), i32.shl(get(slot), i32.of(1))), get(own), TABLE_SLOTS),
    set(entry, i32.add(i32.add(get(table), i32.mul(get(own), i32.of(ENTRY_BYTES))), i32.of(TABLE_ENTRIES))),
    i32.store(get(entry), get(at)),
    i32.store(get(entry), get(length), 4),
    i32.store(get(entry), i32.of(0), 8),
    i32.store(get(table), i32.add(get(own), i32.of(1)), TABLE_COUNT),
    i32.store(get(table), i32.and(i32.add(i32.add(get(at), get(length)), i32.of(8)), i32.of(~7)), TABLE_ARENA_END),
    get(entry),
  ]
  return module.add('find', locals, I32, body)
}

/**
 * Adds decimal(value) -> start: writes a whole number as text that ends at SCRATCH_END; returns the index of the function.
 */
export function addDecimal(module: WasmModule): number {
  const value = 0
  const locals = new Locals(I64)
  const rest = locals.add(I64)
  const at = locals.add(I32)
  const negative = locals.add(I32)
  const digits = label('digits')
  return module.add('decimal', locals, I32, [
    set(negative, i64.lessS(get(value), i64.of(0n))),
    when(get(negative), set(value, i64.sub(i64.of(0n), get(value)))),
    set(at, i32.of(SCRATCH_END)),
    loop(
      digits,
      set(rest, i64.divU(get(value), i64.of(10n))),
      i32.store8(
        tee(at, i32.sub(get(at), i32.of(1))),
        i32.add(i32.wrap(i64.sub(get(value), i64.mul(get(rest), i64.of(10n)))), i32.of(48)),
      ),
      set(value, get(rest)),
      brIf(digits, i32.isZero(i64.isZero(get(value)))),
    ),
    when(get(negative), i32.store8(tee(at, i32.sub(get(at), i32.of(1))), i32.of(45))),
    get(at),
  ])
}
