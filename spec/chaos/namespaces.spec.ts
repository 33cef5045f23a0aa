import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from './namespaces.ts'
import type { Network } from './network.ts'

const run = promisify(execFile)
const DATAGRAMS = 50
let network: Network

beforeAll(async () => {
  network = await openNetwork(['tokyo', 'paris'])
})

afterAll(() => network.close())

async function send(from: string, to: string): Promise<void> {
  const program = `const socket = require('node:dgram').createSocket('udp4'); let left = ${DATAGRAMS}
    const next = () => left-- > 0 ? socket.send('x', 9, '${network.place(to).address}', next) : socket.close(); next()`
  const [command = process.execPath, ...args] = [...network.place(from).launcher, process.execPath, '-e', program]
  await run(command, args)
}

describe('the network between sites', () => {
  it('counts what a site sends also while nothing arrives', async ({ skip }) => {
    if (network.fallback !== null) skip(network.fallback)
    await network.cut()
    try {
      const before = (await network.sent('paris')) ?? 0
      await send('paris', 'tokyo')
      const sent = ((await network.sent('paris')) ?? 0) - before
      expect(sent).toBeGreaterThanOrEqual(DATAGRAMS)
      expect(sent).toBeLessThan(2 * DATAGRAMS)
    } finally {
      await network.heal()
    }
  })
})
