import express, { type Request, type Response, type Router } from 'express'
import { compareDigests, type Digest } from '../blob/digest.ts'
import { loadKnownBlob } from '../blob/known-blob.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import { answering } from '../databases.ts'
import { GeoError } from '../errors.ts'
import { answerErrors } from './answer-errors.ts'
import { UNDER_WAY } from './hashes-under-way.ts'
import { OpenAnswers } from './open-answers.ts'
import type { ServeContext } from './serve.ts'
import { sendBlob } from './serve-one.ts'
import { bodyInTime, takenInTime } from './slow-client.ts'
import { authenticate } from './token.ts'
import { isGone } from './when-gone.ts'

/** What a secondary needs to lend its copies. `main` is its replica. */
export interface LendContext extends Omit<ServeContext, 'threads' | 'stores'> {
  /** Whether this site has stored a copy of the record under this key, and it is to stay. */
  holdsCopy(replicable: Replicable, id: string, key: string): Promise<boolean>
  /** Hashes what is stored; null where that cannot be done, and `UNDER_WAY` where it takes longer than who asks would wait. */
  hashStored(
    replicable: Replicable,
    key: string,
    algorithm: Digest['algorithm'],
  ): Promise<Digest | null | typeof UNDER_WAY>
  /** Why no work may be done on the store of a type, or null. */
  storeProblem(replicable: Replicable): Promise<GeoError | null>
}

/**
 * The route from which the primary gets a copy back when its own file is damaged. Only the primary's token opens it, and only
 * for a copy that hashes to the recorded checksum now. What the registry says of it does not count: who asks for a copy anew while
 * the primary's file is bad makes it a failed one, and it may be the last good one there is.
 */
export function copyRouter(context: LendContext): Router {
  const router = express.Router()
  const open = new OpenAnswers(context.retrieveMargin)
  router.get('/api/v4/geo/copies/:name/:id', bodyInTime(context), (request, response, next) => {
    lend(context, open, request, response).catch(next)
  })
  router.use('/api/v4/geo/copies', answerErrors(context.logger))
  return router
}

async function lend(context: LendContext, open: OpenAnswers, request: Request, response: Response): Promise<void> {
  const { sites, replicables } = context
  await answering(() => sites.ensureFresh())
  const { site, scope } = await authenticate(request, context)
  if (!site.primary) throw new GeoError('UNAUTHORIZED', '401 Unauthorized')
  const [name, asked] = [String(request.params['name']), String(request.params['id'])]
  if (!('replicable_id' in scope) || scope.replicable_name !== name || scope.replicable_id !== asked) {
    throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  }
  sites.requireSecondary()
  if (isGone(response)) return
  // Before the copy is hashed, which costs as much as sending it.
  open.admit(site, response)
  const replicable = replicables.get(name)
  if (!replicable) throw new GeoError('UNKNOWN_REPLICABLE', `Cannot find a Geo replicator for ${name}`)
  const id = parseRecordId(replicable, asked)
  if (id === null) throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(asked)} is not a key of ${name}`)
  const problem = await context.storeProblem(replicable)
  if (problem) throw problem
  const key = await goodCopy(context, replicable, id)
  await takenInTime(response, context.idleTimeoutMs, () => sendBlob(request, response, { replicable, id, key }))
}

/** The key of the copy, if what is stored is as good as the primary's file was when its checksum was recorded. */
async function goodCopy(context: LendContext, replicable: Replicable, id: string): Promise<string> {
  const itsName = `${replicable.names.className} #${id}`
  const record = await answering(() => loadKnownBlob(context.main, replicable, id))
  if (record?.failure) throw record.failure
  const key = record?.key
  if (!key || !(await answering(() => context.holdsCopy(replicable, id, key)))) {
    throw new GeoError('COPY_NOT_VERIFIED', `This site has no copy of ${itsName} that is to stay`)
  }
  const recorded = record.checksum.digest
  if (!recorded) throw new GeoError('COPY_NOT_VERIFIED', `No checksum of ${itsName} is recorded on the primary`)
  const stored = await context.hashStored(replicable, key, recorded.algorithm)
  if (stored === UNDER_WAY) {
    throw new GeoError('COPY_BEING_HASHED', `The copy of ${itsName} is being hashed before it is lent`)
  }
  if (!stored || compareDigests(stored, recorded) !== 'equal') {
    throw new GeoError('COPY_NOT_VERIFIED', `The copy of ${itsName} does not hash to the recorded checksum`)
  }
  return key
}
