/**
 * What pages of documentation refer to, and whether it is there: links to files and headings, and tests by their titles.
 *
 * Pure but for the two functions that it is handed. Links to other hosts are not followed.
 */

/** Gives the text of a file by its path from the root, '' for a directory, undefined where there is neither. */
export type ReadPath = (path: string) => string | undefined

/** Links of `text`, a page at `path`, that lead nowhere: one line each. */
export function brokenLinks(path: string, text: string, read: ReadPath): string[] {
  const broken: string[] = []
  for (const { target, line } of linksOf(text)) {
    if (/^[a-z]+:/.test(target)) continue
    const [file = '', heading = ''] = target.split('#', 2)
    const at = file === '' ? path : resolve(path, file)
    const found = file === '' ? text : read(at)
    if (found === undefined) broken.push(`${path}:${line} there is no ${at}`)
    else if (heading !== '' && !headingsOf(found).has(heading)) broken.push(`${path}:${line} ${at} has no #${heading}`)
  }
  return broken
}

/**
 * Tests, and files under src/, that `text` names and that are not there. A name is a file under test/ in backticks (`window/tumbling`), then any
 * number of quoted parts of titles in it, up to the next name or the end of the line or table cell.
 */
export function missingTests(path: string, text: string, read: ReadPath): string[] {
  const missing: string[] = []
  text.split('\n').forEach((lineText, index) => {
    for (const [, name = '', titles = ''] of lineText.matchAll(
      /`([a-z0-9-]+(?:\/[a-z0-9.-]+)+)`((?:[,\s]*"[^"]*")*)/g,
    )) {
      const where = `${path}:${index + 1}`
      if (name.startsWith('src/')) {
        if (read(name) === undefined) missing.push(`${where} there is no ${name}`)
        continue
      }
      const source = read(`test/${name}.test.ts`) ?? read(`test/${name}.ts`)
      if (source === undefined) missing.push(`${where} there is no test/${name}.test.ts`)
      else {
        for (const [, title = ''] of titles.matchAll(/"([^"]*)"/g))
          if (!source.includes(title)) missing.push(`${where} test/${name} has no "${title}"`)
      }
    }
  })
  return missing
}

function linksOf(text: string): { readonly target: string; readonly line: number }[] {
  const links: { target: string; line: number }[] = []
  let fenced = false
  text.split('\n').forEach((lineText, index) => {
    if (lineText.startsWith('```')) fenced = !fenced
    if (fenced) return
    for (const [, target = ''] of lineText.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g))
      links.push({ target, line: index + 1 })
  })
  return links
}

/** The anchors of a page, as GitHub makes them of its headings. */
function headingsOf(text: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of text.matchAll(/^#+ (.*)$/gm)) {
    const anchor = heading
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    let free = anchor
    for (let n = 1; anchors.has(free); n++) free = `${anchor}-${n}`
    anchors.add(free)
  }
  return anchors
}

/** `target` as seen from the page at `path`, from the root; a leading `..` stays where it leaves the root. */
function resolve(path: string, target: string): string {
  const parts = path.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') {
      if (parts.length === 0 || parts.at(-1) === '..') parts.push('..')
      else parts.pop()
    } else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}
