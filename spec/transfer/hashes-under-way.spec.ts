import { expect, it } from 'vitest'
import type { Digest } from '../../lib/blob/digest.ts'
import { shiftedClock } from '../../lib/testing/shifted-clock.ts'
import { HashesUnderWay, UNDER_WAY } from '../../lib/transfer/hashes-under-way.ts'

const DIGEST: Digest = { algorithm: 'sha256', hex: 'ab' }
const PATIENCE_MS = 20_000

/** Hashes that end when the spec says so, and a clock on which whoever waits for one has always waited long enough. */
function heldHashes() {
  const clock = shiftedClock()
  const begun: PromiseWithResolvers<Digest | null>[] = []
  const hashes = new HashesUnderWay({ ...clock, sleep: () => Promise.resolve() }, PATIENCE_MS)
  const ask = (file: string) =>
    hashes.digestOf(file, () => {
      const hash = Promise.withResolvers<Digest | null>()
      begun.push(hash)
      return hash.promise
    })
  return { ask, begun, advance: clock.advance }
}

it('Who asks again waits for the same hash, and the next one for another', async () => {
  const { ask, begun } = heldHashes()
  expect(await ask('a')).toBe(UNDER_WAY)
  expect(await ask('a')).toBe(UNDER_WAY)
  expect(await ask('b')).toBe(UNDER_WAY)
  expect(begun).toHaveLength(2)
  begun[0]?.resolve(DIGEST)
  expect(await ask('a')).toEqual(DIGEST)
  expect(await ask('a')).toBe(UNDER_WAY)
  expect(begun).toHaveLength(3)
})

it('A digest that nobody came back for is kept for a minute', async () => {
  const { ask, begun, advance } = heldHashes()
  for (const file of ['a', 'b']) expect(await ask(file)).toBe(UNDER_WAY)
  for (const hash of begun) hash.resolve(DIGEST)
  await Promise.all(begun.map(({ promise }) => promise))
  advance(59_000)
  expect(await ask('a')).toEqual(DIGEST)
  advance(2000)
  expect(await ask('b')).toBe(UNDER_WAY)
  expect(begun).toHaveLength(3)
})

it('A hash that fails is told of, and begun anew by the next who asks', async () => {
  const { ask, begun } = heldHashes()
  expect(await ask('a')).toBe(UNDER_WAY)
  begun[0]?.reject(new Error('The checksum threads are gone'))
  await expect(ask('a')).rejects.toThrow('The checksum threads are gone')
  expect(await ask('a')).toBe(UNDER_WAY)
})
