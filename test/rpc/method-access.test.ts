import { Server } from '@grpc/grpc-js'
import { describe, expect, it, vi } from 'vitest'
import { methodAccess } from '../../src/rpc/method-access.ts'
import { roles } from '../../src/security/access.ts'
import { authorization, callRaw, guardedServer, rawClient, someAccess, tokens } from './support/guarded.ts'

/** Every method that a server registers, whichever package it comes from. */
async function servedMethods(): Promise<readonly string[]> {
  const register = vi.spyOn(Server.prototype, 'register')
  try {
    await guardedServer()
    return register.mock.calls.map(([path]) => path)
  } finally {
    register.mockRestore()
  }
}

describe('the table of methods', () => {
  it('has a line for each method that is served, and no other', async () => {
    const served = await servedMethods()
    expect(served.length).toBeGreaterThan(10)
    expect(Object.keys(methodAccess).sort()).toEqual([...served].sort())
  })

  it('lets strangers do nothing but ask for health', () => {
    const open = Object.entries(methodAccess).filter(([, access]) => access.roles === 'anyone')
    expect(open.map(([path]) => path)).toEqual(['/grpc.health.v1.Health/Check'])
  })

  it('lets operators do whatever viewers may, and audits what only they may', () => {
    for (const [path, access] of Object.entries(methodAccess)) {
      if (access.roles === 'anyone') continue
      expect(access.roles, path).toContain('operator')
      expect(access.audited, path).toBe(!access.roles.includes('viewer'))
    }
  })
})

describe('each role against each method', () => {
  const paths = Object.keys(methodAccess)
  const refusals = new Set(['UNAUTHENTICATED', 'PERMISSION_DENIED'])

  it.each(paths)('%s', async (path) => {
    const { server } = await guardedServer({ access: someAccess(), limits: { deadlineMs: 5000 } })
    const client = rawClient(server.address)
    const access = methodAccess[path]!
    const end = async (metadata = authorization()) => {
      // Streams answer, or wait: a short deadline ends them. What matters is whether the guard let them in.
      const options = { deadline: Date.now() + 1500 }
      return (await callRaw(client, path, metadata, new Uint8Array(), options)).status
    }
    const stranger = await end()
    const wrong = await end(authorization('Bearer wrong-token'))
    if (access.roles === 'anyone') expect(refusals.has(stranger)).toBe(false)
    else {
      expect(stranger).toBe('UNAUTHENTICATED')
      expect(wrong).toBe('UNAUTHENTICATED')
    }
    for (const role of roles) {
      const ended = await end(authorization(`Bearer ${tokens[role]}`))
      const may = access.roles === 'anyone' || access.roles.includes(role)
      if (may) expect(refusals.has(ended), `${role}: ${ended}`).toBe(false)
      else expect(ended, role).toBe('PERMISSION_DENIED')
    }
  })

  it('refuses a method without a line to everybody', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address)
    const path = '/millrace.v1.ControlService/ListJobs'
    const line = methodAccess[path]
    const table = methodAccess as Record<string, unknown>
    delete table[path]
    try {
      const ended = await callRaw(client, path, authorization(`Bearer ${tokens.operator}`))
      expect(ended.status).toBe('PERMISSION_DENIED')
    } finally {
      table[path] = line
    }
  })
})
