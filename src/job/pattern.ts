/**
 * Patterns of `matches()`: RE2, which runs in time that is linear in the text, whatever the pattern.
 *
 * Owns: the one way to a compiled pattern, and what a pattern may cost. Linear is not enough: the factor is the size of
 * the compiled program, which a repetition makes large (`\pL{1000}` has ten characters), and threads are shared.
 */
import { RE2JS } from '@bufbuild/re2'

/** Most characters of one pattern. */
const PATTERN_LENGTH_MAX = 256

/** Most instructions of the compiled patterns of one expression. That of a UUID has 40, of thirty words about 300. */
export const PATTERN_SIZE_MAX = 500

/** A compiled pattern. */
export interface Pattern {
  /** Whether it is found anywhere in `text`. */
  test(text: string): boolean
}

/** Compiles a pattern that `measurePattern` has accepted. Throws what RE2 throws. */
export function compilePattern(pattern: string): Pattern {
  return RE2JS.compile(pattern)
}

/** The instructions of a pattern, or what is wrong with it. */
export function measurePattern(pattern: string): { readonly size: number } | { readonly problem: string } {
  if (pattern.length > PATTERN_LENGTH_MAX) {
    return { problem: `the pattern is longer than ${PATTERN_LENGTH_MAX} characters` }
  }
  try {
    return { size: RE2JS.compile(pattern).re2Input.prog.numInst() }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}
