import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Digest } from '../../lib/blob/digest.ts'
import { ERROR_CODES } from '../../lib/errors.ts'
import type { ReceiveResult } from '../../lib/transfer/blob-order.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { type SelfSigned, selfSigned } from '../support/self-signed.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'

const LARGE = randomBytes(10_000_000)

let own: SelfSigned
let primary: Server
let root: string

beforeAll(async () => {
  own = selfSigned()
  primary = createServer({ cert: own.certificate, key: own.key }, ({ url }, response) => {
    const body = url === '/large' ? LARGE : Buffer.from('abc')
    response.writeHead(200, { 'geo-blob-bytes': body.length, 'content-length': body.length }).end(body)
  })
  await new Promise<void>((resolve) => primary.listen(0, '127.0.0.1', resolve))
  root = await mkdtemp(join(tmpdir(), 'geo-tls-'))
})
afterAll(async () => {
  primary.closeAllConnections()
  await new Promise((resolve) => primary.close(resolve))
  await rm(root, { recursive: true, force: true })
})

async function receive(
  ca: readonly string[],
  { path = '', expected = null as Digest | null } = {},
): Promise<ReceiveResult> {
  const threads = new TransferThreads(1, ca)
  try {
    const task = transferTask({
      url: `https://127.0.0.1:${(primary.address() as AddressInfo).port}/${path}`,
      root,
      blobs: [{ id: '1', key: 'a', expected }],
    })
    return await threads.receive('one', task, transferLine())
  } finally {
    await threads.close()
  }
}

describe("TLS with the host's own CA", () => {
  it('is trusted where the host passes its certificate', async () => {
    expect((await receive([own.certificate])).outcomes).toMatchObject([{ outcome: 'received', bytes: 3 }])
  })

  it('brings a large blob as well', async () => {
    const expected = { algorithm: 'sha256', hex: createHash('sha256').update(LARGE).digest('hex') } as const
    const { outcomes } = await receive([own.certificate], { path: 'large', expected })
    expect(outcomes).toMatchObject([{ outcome: 'received', bytes: LARGE.length }])
  })

  it('is refused without it, which is a pause with a code and advice that help', async () => {
    const { outcomes, refusal } = await receive([])
    expect(outcomes).toEqual([])
    expect(refusal).toMatchObject({ kind: 'pause', code: 'TLS_UNTRUSTED' })
    expect(refusal?.message).toContain('self-signed certificate')
    expect(ERROR_CODES.TLS_UNTRUSTED[1]).toContain('`ca`')
  })

  it('is refused with the certificate of another', async () => {
    expect((await receive([selfSigned().certificate])).refusal).toMatchObject({ code: 'TLS_UNTRUSTED' })
  })
})
