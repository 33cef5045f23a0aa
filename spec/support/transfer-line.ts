import type { TransferLine } from '../../lib/transfer/threads.ts'

const HOUR_NS = 3_600_000_000_000n

/** What a transfer needs of the main thread: a lease that lives as long as the signal, no limit, and always the same token. */
export function transferLine(
  signal: AbortSignal = new AbortController().signal,
  { authorization = 'GL-Geo x:y' } = {},
): TransferLine & { lease: { endsAt: BigInt64Array } } {
  const endsAt = new BigInt64Array(new SharedArrayBuffer(8))
  endsAt[0] = process.hrtime.bigint() + HOUR_NS
  return {
    lease: { signal, endsAt },
    bandwidth: {
      rate: new Float64Array(new SharedArrayBuffer(8)),
      take: async (bytes) => bytes,
      giveBack: () => undefined,
    },
    authorization: async () => authorization,
  }
}
