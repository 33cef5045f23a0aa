import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AllowedIps, EVERY_IP } from '../../lib/allowed-ips.ts'
import { systemClock } from '../../lib/clock.ts'
import { SiteDirectory } from '../../lib/site.ts'
import { authenticate, signRequest } from '../../lib/transfer/token.ts'
import { createSpecDatabases, type SpecDatabases } from '../support/databases.ts'
import { addSites, ENCRYPTION_KEY } from '../support/fixture-rows.ts'
import { type ForgedKnocks, knockInVain, openForgedKnocks } from '../support/forged-knocks.ts'

const FORGERIES = 3000
const PAIRS = 5000

let knocks: ForgedKnocks
beforeAll(async () => {
  knocks = await openForgedKnocks()
})
afterAll(() => knocks?.close())

it(`No door of a primary or a secondary opens to any of ${FORGERIES} forged requests, and nothing changes`, async () => {
  await knockInVain(knocks, FORGERIES)
})

/** Two requests that are refused, so that one could be told from the other by how long that takes. */
interface Pair {
  readonly codes: readonly [string, string]
  make(given: { known: string; unsigned: string; expired: string; signature: Buffer }): readonly [string, string]
}

const unknownKey = () => randomBytes(15).toString('base64url')
const wrongSignature = () => randomBytes(32).toString('base64url')
/** The signature with one byte of it wrong. */
function wrongAt(signature: Buffer, position: number): string {
  const wrong = Buffer.from(signature)
  wrong.writeUInt8(wrong.readUInt8(position) ^ 0xff, position)
  return wrong.toString('base64url')
}

// Without the verification of who is unknown it is 0.15.
it.each<[string, Pair]>([
  [
    'Whether there is an access key',
    {
      codes: ['UNAUTHORIZED', 'UNAUTHORIZED'],
      make: ({ known, unsigned }) => [
        `GL-Geo ${known}:${unsigned}.${wrongSignature()}`,
        `GL-Geo ${unknownKey()}:${unsigned}.${wrongSignature()}`,
      ],
    },
  ],
  [
    'How much of a signature is right',
    {
      codes: ['UNAUTHORIZED', 'UNAUTHORIZED'],
      make: ({ known, unsigned, signature }) => [
        `GL-Geo ${known}:${unsigned}.${wrongAt(signature, 0)}`,
        `GL-Geo ${known}:${unsigned}.${wrongAt(signature, signature.length - 1)}`,
      ],
    },
  ],
  [
    'Whether a signature is wrong or too old',
    {
      codes: ['UNAUTHORIZED', 'TOKEN_EXPIRED'],
      make: ({ known, unsigned, expired }) => [`GL-Geo ${known}:${unsigned}.${wrongSignature()}`, expired],
    },
  ],
])('%s cannot be told by how long a refusal takes', async (_, { codes, make }) => {
  const databases: SpecDatabases = await createSpecDatabases()
  try {
    await addSites(databases.main, 'paris')
    const sites = new SiteDirectory('paris', databases.main, [ENCRYPTION_KEY], systemClock)
    await sites.refresh()
    const door = { sites, allowedIps: new AllowedIps(EVERY_IP), clock: systemClock }
    const me = sites.requireMe()
    const good = await signRequest(me, sites.secretOf(me), { scope: 'geo_api' }, systemClock)
    const anHourAgo = { ...systemClock, nowMs: () => systemClock.nowMs() - 3_600_000 }
    const expired = await signRequest(me, sites.secretOf(me), { scope: 'geo_api' }, anHourAgo)
    const token = good.slice(good.indexOf(':') + 1)
    const unsigned = token.slice(0, token.lastIndexOf('.'))
    const signature = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')
    const refusalMs = async (header: string, code: string): Promise<number> => {
      const startedAt = performance.now()
      const refused = await authenticate({ ip: '127.0.0.1', get: () => header } as never, door).catch(
        (reason) => reason.code,
      )
      const tookMs = performance.now() - startedAt
      expect(refused).toBe(code)
      return tookMs
    }
    const median = (times: number[]) => times.sort((left, right) => left - right)[Math.floor(times.length / 2)] ?? 0
    const first: number[] = []
    const second: number[] = []
    // In turns, so that whatever else the machine does holds up one as much as the other.
    for (let pair = 0; pair < PAIRS; pair += 1) {
      const headers = make({ known: me.accessKey, unsigned, expired, signature })
      first.push(await refusalMs(headers[0], codes[0]))
      second.push(await refusalMs(headers[1], codes[1]))
    }
    const ratio = median(second) / median(first)
    console.log(JSON.stringify({ pairs: PAIRS, ratio }))
    expect(ratio).toBeGreaterThan(0.7)
    expect(ratio).toBeLessThan(1.4)
  } finally {
    await databases.destroy()
  }
})
