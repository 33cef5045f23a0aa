import { type ErrorCode, GeoError } from '../../errors.ts'
import { clusterIdentity, loadCursor } from '../../event/cursor.ts'
import { reportStatus } from '../../transfer/report.ts'
import { apartOf } from '../quantities.ts'
import { type Check, noBy, type Outcome, skipped, yes } from './outcome.ts'
import type { CheckSources } from './sources.ts'

/** Tokens say when they begin, with five seconds to spare. */
const MOST_SKEW_MS = 5000

/** A secondary asks the primary something, signed and by the way that all its requests take; the answer tells the time there. */
export function connectionChecks(sources: CheckSources): Check[] {
  let skewMs: number | null = null
  return [
    {
      name: 'The primary site can be reached over HTTP(S)',
      async ask() {
        const { sites } = sources
        const { primary } = sites
        if (!primary) return skipped('No primary is known')
        try {
          await askPrimary(sources)
          // The time of the first answer also has the start of a thread and the handshakes in it.
          skewMs = await askPrimary(sources)
          return yes(primary.internalUrl)
        } catch (reason) {
          if (!(reason instanceof GeoError)) throw reason
          if (sites.me?.enabled === false && / 403\b/.test(reason.message)) {
            return yes(`${primary.internalUrl}, which answers that this site is paused`)
          }
          return noBy(
            reason.code,
            `${primary.internalUrl}: ${reason.message}`,
            ...adviceFor(reason.code, reason.message, primary.name),
          )
        }
      },
    },
    {
      name: "This machine's clock agrees with that of the primary",
      async ask(): Promise<Outcome> {
        if (skewMs === null) return skipped('The primary did not tell its time')
        const apart = apartOf(skewMs / 1000)
        return Math.abs(skewMs) <= MOST_SKEW_MS ? yes(apart) : noBy('CLOCK_SKEW', apart)
      },
    },
  ]
}

/** Tells the primary what this site has told it before. @throws GeoError as reportStatus does */
async function askPrimary({ databases, sites, settings, repairContext }: CheckSources): Promise<number | null> {
  const { main, tracking } = databases
  const cursor = tracking && (await loadCursor(tracking, sites.siteName))
  const { xactId, eventId, ...identity } = cursor ?? { xactId: '0', eventId: '0', ...(await clusterIdentity(main)) }
  const { clockSkewMs } = await reportStatus(
    { sites, threads: repairContext.threads, clock: settings.clock },
    {
      cursor_xact_id: xactId,
      cursor_last_event_id: eventId,
      system_identifier: identity.systemIdentifier,
      timeline: identity.timeline,
    },
  )
  return clockSkewMs
}

function adviceFor(code: ErrorCode, message: string, primary: string): string[] {
  if (/ECONNREFUSED/.test(message)) {
    return [
      'Check that the processes of the primary run and listen there, and that no firewall refuses the connection.',
    ]
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) {
    return [
      'Check that name in the DNS of this machine.',
      `Or correct the address on the primary: geo site update ${primary} --internal-url URL`,
    ]
  }
  if (/time.?out|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/i.test(message)) {
    return ['Check routes and firewalls between the sites: nothing answered in time.']
  }
  if (/ 404\b/.test(message)) {
    return ['Mount geo.router of the primary where its address points: /api/v4/geo/status is not there.']
  }
  if (/from the address/.test(message)) {
    return ["Add that address to `allowedIps` there; if it is that of a proxy, set Express's `trust proxy`."]
  }
  if (code === 'PRIMARY_REFUSED') {
    return ['Give both sites the same `encryptionKey`, and synchronise their clocks (NTP).']
  }
  return []
}
