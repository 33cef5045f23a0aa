import express, { type Request, type Response, type Router } from 'express'
import { compareDigests, type Digest } from '../blob/digest.ts'
import { loadKnownBlob } from '../blob/known-blob.ts'
import { parseRecordId, type Replicable } from '../blob/replicable.ts'
import { GeoError } from '../errors.ts'
import { answerErrors } from './answer-errors.ts'
import type { ServeContext } from './serve.ts'
import { sendBlob } from './serve-one.ts'
import { authenticate } from './token.ts'

/** What a secondary needs to lend its copies. `main` is its replica. */
export interface LendContext extends Omit<ServeContext, 'threads' | 'stores'> {
  /** A copy under this key that is synced and verified, and the checksum that was found then. */
  findCopy(replicable: Replicable, id: string, key: string): Promise<{ digest: Digest | null } | null>
  /** Hashes what is stored; null where that cannot be done. */
  hashStored(replicable: Replicable, key: string, algorithm: Digest['algorithm']): Promise<Digest | null>
  /** Why no work may be done on the store of a type, or null. */
  storeProblem(replicable: Replicable): Promise<GeoError | null>
}

/**
 * The route from which the primary gets a copy back when its own file is damaged. Only the primary's token opens it, and only
 * for a copy that is verified, whose checksum is the recorded one, and that still hashes to it.
 */
export function copyRouter(context: LendContext): Router {
  const router = express.Router()
  router.get('/api/v4/geo/copies/:name/:id', (request, response, next) => {
    lend(context, request, response).catch(next)
  })
  router.use('/api/v4/geo/copies', answerErrors(context.logger))
  return router
}

async function lend(context: LendContext, request: Request, response: Response): Promise<void> {
  const { sites, replicables } = context
  await sites.ensureFresh()
  const { site, scope } = await authenticate(request, context)
  if (!site.primary) throw new GeoError('UNAUTHORIZED', '401 Unauthorized')
  const [name, asked] = [String(request.params['name']), String(request.params['id'])]
  if (!('replicable_id' in scope) || scope.replicable_name !== name || scope.replicable_id !== asked) {
    throw new GeoError('TOKEN_SCOPE', '401 Unauthorized')
  }
  if (sites.role !== 'secondary') throw new GeoError('NOT_SECONDARY', `"${sites.siteName}" is not a secondary site`)
  const replicable = replicables.get(name)
  if (!replicable) throw new GeoError('UNKNOWN_REPLICABLE', `Cannot find a Geo replicator for ${name}`)
  const id = parseRecordId(replicable, asked)
  if (id === null) throw new GeoError('INVALID_RECORD_ID', `${JSON.stringify(asked)} is not a key of ${name}`)
  const problem = await context.storeProblem(replicable)
  if (problem) throw problem
  await sendBlob(request, response, { replicable, id, key: await goodCopy(context, replicable, id) })
}

/** The key of the copy, if it is as good as the primary's file was when its checksum was recorded. */
async function goodCopy(context: LendContext, replicable: Replicable, id: string): Promise<string> {
  const itsName = `${replicable.names.className} #${id}`
  const record = await loadKnownBlob(context.main, replicable, id)
  if (record?.failure) throw record.failure
  const key = record?.key
  const copy = key ? (await context.findCopy(replicable, id, key))?.digest : null
  if (!key || !copy) throw new GeoError('COPY_NOT_VERIFIED', `This site has no verified copy of ${itsName}`)
  const recorded = record.checksum.digest
  if (!recorded || compareDigests(copy, recorded) !== 'equal') {
    throw new GeoError('COPY_NOT_VERIFIED', `The copy of ${itsName} has another checksum than the primary recorded`)
  }
  const stored = await context.hashStored(replicable, key, recorded.algorithm)
  if (!stored || compareDigests(stored, recorded) !== 'equal') {
    throw new GeoError('COPY_NOT_VERIFIED', `The copy of ${itsName} has changed since it was verified`)
  }
  return key
}
