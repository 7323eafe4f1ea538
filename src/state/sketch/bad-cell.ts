/** What is said of a cell that cannot be used. */
import { MillraceError } from '../../core/errors.ts'

/** Throws STATE_INCOMPATIBLE for a cell of another version, CHECKPOINT_CORRUPT for one that nobody can have written. */
export function badCell(kind: string, what: string, version = false): never {
  if (version)
    throw new MillraceError(
      'STATE_INCOMPATIBLE',
      `a ${kind} in the checkpoint has ${what}, which this program cannot read`,
    )
  throw new MillraceError('CHECKPOINT_CORRUPT', `a ${kind} in the checkpoint is damaged: ${what}`)
}
