/** Fields as a plan asks about them. Pure. */
import { MillraceError } from '../core/errors.ts'
import type { FieldResolution } from '../event/descriptor.ts'
import type { FieldRef } from '../event/schema.ts'

/** The field that a path was resolved to. Throws JOB_INVALID where there is none. */
export function known(path: string, resolved: FieldResolution): FieldRef {
  if (resolved.ok) return resolved.field
  throw new MillraceError('JOB_INVALID', `field "${path}" cannot be read: ${resolved.problem}`)
}

/** Whether sums of the field are of fractions; a property may be any number. */
export function isFloating({ type }: FieldRef): boolean {
  return type === 'float' || type === 'double' || type === 'property'
}

/** Whether the first and the last of a field are numbers; a property may be anything, so it is a text. */
export function isNumber({ type }: FieldRef): boolean {
  return !['string', 'bytes', 'bool', 'enum', 'property'].includes(type)
}
