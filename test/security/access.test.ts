import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { type AccessTable, openAccess, parseAccess, processAccess } from '../../src/security/access.ts'
import { digestOf, newToken } from '../../src/security/digest.ts'

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
const byToken = (table: AccessTable, token: string) => table.identify({ digest: digestOf(token), certificateNames: [] })
const byCertificate = (table: AccessTable, ...names: string[]) =>
  table.identify({ digest: null, certificateNames: names })

function mistake(text: string): MillraceError {
  try {
    parseAccess(text, '/etc/millrace/access')
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    expect(error.code).toBe('CONFIG_INVALID')
    return error
  }
  throw new Error('the file was taken')
}

describe('an access file', () => {
  const table = parseAccess(
    `# who may call
alice    operator  sha256:${hashOf('secret-a')}
alice    operator  sha256:${hashOf('secret-b').toUpperCase()}   # the next one

grafana  viewer    certificate:grafana.example.com
gateway\tingest\tsha256:${hashOf('secret-c')}\r
`,
    'access',
  )

  it('tells who a token stands for', () => {
    expect(byToken(table, 'secret-a')).toEqual({ name: 'alice', role: 'operator', knownBy: 'token' })
    expect(byToken(table, 'secret-b')?.name).toBe('alice')
    expect(byToken(table, 'secret-c')).toEqual({ name: 'gateway', role: 'ingest', knownBy: 'token' })
    expect(byToken(table, 'secret-d')).toBeNull()
    expect(byToken(table, hashOf('secret-a'))).toBeNull()
  })

  it('tells who a certificate stands for, by any of its names', () => {
    const grafana = { name: 'grafana', role: 'viewer', knownBy: 'certificate' }
    expect(byCertificate(table, 'other', 'grafana.example.com')).toEqual(grafana)
    expect(byCertificate(table, 'example.com')).toBeNull()
    expect(byCertificate(table)).toBeNull()
  })

  it('does not fall back to the certificate when a token is wrong', () => {
    expect(table.identify({ digest: digestOf('wrong'), certificateNames: ['grafana.example.com'] })).toBeNull()
  })

  it.each([
    ['alice operator', /line 1: a line is `name role sha256:HASH`/],
    ['\nalice admin sha256:00', /line 2: the role is not one of viewer, operator, ingest/],
    ['al/ice viewer certificate:x', /line 1: the name may have/],
    ['alice viewer hunter2', /line 1: the third column/],
    ['alice viewer sha256:abc', /line 1: the third column/],
    [`a viewer sha256:${'0'.repeat(64)}\nb operator sha256:${'0'.repeat(64)}`, /line 2: this token has an entry/],
    ['a viewer certificate:x\nb viewer certificate:x', /line 2: this certificate has an entry/],
    ['a viewer certificate:', /line 1: the third column/],
  ])('%j is refused with its line', (text, message) => {
    const error = mistake(text)
    expect(error.message).toMatch(message)
    expect(error.message).toContain('/etc/millrace/access')
    expect(error.message).not.toContain('hunter2')
  })

  it('has at most a thousand entries', () => {
    const lines = Array.from({ length: 1001 }, (_, i) => `n${i} viewer certificate:c${i}`)
    expect(mistake(lines.join('\n')).message).toContain('more than 1000')
  })

  it('never does anything but answer or refuse, whatever it holds', () => {
    const line = fc.array(
      fc.oneof(
        fc.string(),
        fc.constantFrom('alice', 'viewer', 'operator', 'certificate:x', 'sha256:', `sha256:${hashOf('t')}`, '#', '\t'),
      ),
    )
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const text = lines.map((words) => words.join(' ')).join('\n')
        try {
          expect(byToken(parseAccess(text, 'f'), 'guess')).toBeNull()
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(MillraceError)
        }
      }),
    )
  })
})

describe('access without a file', () => {
  it('takes everybody for an operator', () => {
    expect(openAccess.identify({ digest: null, certificateNames: [] })?.role).toBe('operator')
  })

  it('of one process is for its token alone', () => {
    const token = newToken()
    expect(token).toMatch(/^mrt_[\w-]{43}$/)
    const access = processAccess(token)
    expect(access.identify({ digest: digestOf(token), certificateNames: [] })?.role).toBe('operator')
    expect(access.identify({ digest: digestOf(newToken()), certificateNames: [] })).toBeNull()
    expect(access.identify({ digest: null, certificateNames: ['process'] })).toBeNull()
  })
})
