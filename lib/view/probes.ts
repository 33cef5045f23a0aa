import express, { type Router } from 'express'
import type { Knex } from 'knex'
import { type Clock, settlesWithin } from '../clock.ts'
import type { Databases } from '../databases.ts'
import { run } from '../databases.ts'
import { type ErrorCode, GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import type { StartCheck } from '../start-check.ts'

const DATABASES_ANSWER_WITHIN_MS = 2000
/** Whoever asks more often, and anybody may, gets the answer of the time before. */
const KEPT_MS = 1000

export interface ProbesContext {
  readonly databases: Pick<Databases, 'main' | 'tracking'>
  readonly sites: SiteDirectory
  readonly check: Pick<StartCheck, 'untilPassed'>
  readonly clock: Clock
  isEnding(): boolean
}

/** `/healthz`: this process answers. `/readyz`: it can serve. For strangers too, so that they say codes and no details. */
export function probesRouter(context: ProbesContext): Router {
  const { clock, isEnding } = context
  let asked: { readonly atMs: number; readonly codes: Promise<ErrorCode[]> } | null = null
  const databaseCodes = (): Promise<ErrorCode[]> => {
    const atMs = clock.monotonicMs()
    if (!asked || atMs - asked.atMs >= KEPT_MS) asked = { atMs, codes: whatIsMissing(context) }
    return asked.codes
  }

  const router = express.Router()
  router.get('/healthz', (_request, response) => {
    response.set('Cache-Control', 'no-store').json({ status: 'ok' })
  })
  router.get('/readyz', (_request, response, next) => {
    const answer = async () => {
      const codes = isEnding() ? ['STOPPED'] : await databaseCodes()
      response.set('Cache-Control', 'no-store').status(codes.length === 0 ? 200 : 503)
      response.json(codes.length === 0 ? { status: 'ok' } : { status: 'unavailable', codes })
    }
    answer().catch(next)
  })
  return router
}

async function whatIsMissing({ databases, sites, check, clock }: ProbesContext): Promise<ErrorCode[]> {
  const { main, tracking } = databases
  const asked = Promise.all([
    codeOf(async () => {
      await check.untilPassed()
      sites.requireMe()
    }),
    codeOf(() => answers(main)),
    codeOf(async () => tracking && answers(tracking)),
  ])
  if (!(await settlesWithin(clock, asked, DATABASES_ANSWER_WITHIN_MS))) return ['DATABASE_UNAVAILABLE']
  return [...new Set((await asked).filter((code) => code !== null))]
}

async function answers(db: Knex): Promise<void> {
  await run(db, 'select 1', [], { timeoutMs: DATABASES_ANSWER_WITHIN_MS })
}

async function codeOf(ask: () => Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await ask()
    return null
  } catch (reason) {
    return reason instanceof GeoError ? reason.code : 'DATABASE_UNAVAILABLE'
  }
}
