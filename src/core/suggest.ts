/**
 * "Did you mean …": the known name nearest to one that is not.
 *
 * Used by whatever reads names that people typed (fields, keys, metrics, enum values).
 */

const NAME_LENGTH_MAX = 64

/**
 * The candidate nearest to `name` by edits (a swap of neighbours counts one, case counts nothing), or undefined when none
 * is near: at most a third of the name's length, two at least for names of four letters and more.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined
  const wanted = name.toLowerCase()
  let best: string | undefined
  let bestDistance = wanted.length < 4 ? 2 : Math.max(3, Math.floor(wanted.length / 3) + 1)
  for (const candidate of candidates) {
    if (candidate.length > NAME_LENGTH_MAX || Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** The suggestion as the end of a message: `; did you mean "platform"?`, or '' when nothing is near. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const nearest = nearestName(name, candidates)
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`
}

function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, beforePrevious[j - 2]! + 1)
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length]!
}
