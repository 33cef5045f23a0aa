import fc from 'fast-check'
import { type Action, pick, whichArbitrary as which } from '../action.ts'
import { type Blob, contentOf } from '../blob.ts'
import { deleteRow, insertRow, replaceFile } from '../host.ts'
import type { Model, ModelRow } from '../model.ts'
import { OWNERS, TABLE_OF, TYPE_NAMES, type TypeName } from '../types.ts'

/** What the host's own code does on the primary. */

const type = fc.constantFrom(...TYPE_NAMES)
const owner = fc.constantFrom(null, ...OWNERS)
const content = fc.nat({ max: 200 })
const withFile = (model: Model) => model.rows.filter((row) => row.key !== null)
const withoutFile = (model: Model) => model.rows.filter((row) => row.key === null)
const changeable = (model: Model) => withFile(model).filter((row) => model.isMutable(row))

/** A key of a file that rows share: of types whose bytes stay, and not spoiled, for the host looked. */
function sharedKey(model: Model, type: TypeName, number: number): string | undefined {
  if (model.isMutable({ type })) return undefined
  const rows = withFile(model).filter((row) => !model.isMutable(row) && model.isWhole(row.key))
  return pick(rows, number)?.key ?? undefined
}

function placeFor(
  model: Model,
  {
    type,
    keyed,
    which,
    content,
  }: { type: TypeName; keyed: 'fresh' | 'shared' | 'reused'; which: number; content: number },
): { key: string; blob: Blob | null } {
  const shared = keyed === 'shared' ? sharedKey(model, type, which) : undefined
  if (shared !== undefined) return { key: shared, blob: null }
  const reused = keyed === 'reused' ? pick(model.retiredKeys, which) : undefined
  return { key: reused ?? model.freshKey(type), blob: contentOf(content) }
}

const keyed = fc.constantFrom(
  'fresh' as const,
  'fresh' as const,
  'fresh' as const,
  'shared' as const,
  'reused' as const,
)

export const create: Action<{
  type: TypeName
  keyed: 'fresh' | 'shared' | 'reused'
  which: number
  content: number
  owner: string | null
}> = {
  name: 'create',
  weight: 12,
  params: fc.record({ type, keyed, which, content, owner }),
  possible: (model) => model.rows.length < 20,
  async act(model, world, params) {
    const place = placeFor(model, params)
    const row = await world.main.transaction((trx) => insertRow(model, world, trx, { ...params, ...place }))
    model.rows.push(row)
  },
}

export const createWithoutFile: Action<{ type: TypeName; owner: string | null }> = {
  name: 'createWithoutFile',
  weight: 2,
  params: fc.record({ type, owner }),
  possible: (model) => model.rows.length < 20,
  async act(model, world, params) {
    const row = { ...params, key: null, blob: null }
    model.rows.push(await world.main.transaction((trx) => insertRow(model, world, trx, row)))
  },
}

function onRow<Params extends { which: number }>(
  action: Omit<Action<Params>, 'possible' | 'act'>,
  rowsOf: (model: Model) => readonly ModelRow[],
  act: (...args: [...Parameters<Action<Params>['act']>, ModelRow]) => Promise<void>,
): Action<Params> {
  return {
    ...action,
    possible: (model) => rowsOf(model).length > 0,
    async act(model, world, params) {
      const row = pick(rowsOf(model), params.which)
      if (row) await act(model, world, params, row)
    },
  }
}

export const giveFile = onRow<{ which: number; content: number }>(
  { name: 'giveFile', weight: 3, params: fc.record({ which, content }) },
  withoutFile,
  (model, world, { content }, row) => replaceFile(model, world, row, model.freshKey(row.type), contentOf(content)),
)

export const takeFile = onRow<{ which: number }>(
  { name: 'takeFile', weight: 2, params: fc.record({ which }) },
  withFile,
  (model, world, _, row) => {
    // A row that exists but has no file is left to reconciliation.
    model.untold = true
    return replaceFile(model, world, row, null, null)
  },
)

export const rename = onRow<{
  which: number
  content: number
  keyed: 'fresh' | 'shared' | 'reused'
  sameBytes: boolean
}>(
  { name: 'rename', weight: 4, params: fc.record({ which, content, keyed, sameBytes: fc.boolean() }) },
  withFile,
  async (model, world, { which, content, keyed, sameBytes }, row) => {
    const { key, blob } = placeFor(model, { type: row.type, keyed, which: which + 1, content })
    if (key === row.key) return
    // A checksum cannot tell a file that was moved from the one that it was.
    const moved = sameBytes && model.isWhole(row.key) ? model.files.get(row.key ?? '') : undefined
    await replaceFile(model, world, row, key, blob && (moved ?? blob))
  },
)

export const rewrite = onRow<{ which: number; content: number }>(
  { name: 'rewrite', weight: 4, params: fc.record({ which, content }) },
  changeable,
  (model, world, { content }, row) => replaceFile(model, world, row, row.key, contentOf(content)),
)

export const remove = onRow<{ which: number }>(
  { name: 'remove', weight: 5, params: fc.record({ which }) },
  (model) => model.rows,
  (model, world, _, row) => deleteRow(model, world, row),
)

export const changeOwner = onRow<{ which: number; owner: string | null }>(
  { name: 'changeOwner', weight: 2, params: fc.record({ which, owner }) },
  (model) => model.rows,
  async (model, world, { owner }, row) => {
    model.untold = true
    await world.main(TABLE_OF[row.type]).where('id', row.id).update({ owner })
    row.owner = owner
  },
)

export const reinsert: Action<{ which: number; content: number; samePlace: boolean }> = {
  name: 'reinsert',
  weight: 4,
  params: fc.record({ which, content, samePlace: fc.boolean() }),
  possible: (model) => model.graves.length > 0,
  async act(model, world, { which, content, samePlace }) {
    const grave = pick(model.graves, which)
    if (!grave) return
    const { type, id } = grave
    const former = samePlace && grave.key !== null && model.usersOf(grave.key).length === 0 ? grave.key : null
    const row = { type, id, owner: null, key: former ?? model.freshKey(type), blob: contentOf(content) }
    const inserted = await world.main.transaction((trx) => insertRow(model, world, trx, row))
    model.graves.splice(model.graves.indexOf(grave), 1)
    inserted.everOn ||= grave.everOn
    model.rows.push(inserted)
  },
}

/** A transaction that stays open while others commit: its events come before theirs and are seen after them. */
export const hold: Action<{ type: TypeName; content: number; owner: string | null }> = {
  name: 'hold',
  weight: 2,
  params: fc.record({ type, content, owner }),
  possible: (model) => model.held === null,
  async act(model, world, { type, content, owner }) {
    const trx = await world.main.transaction()
    world.held = trx
    const row = { type, owner, key: model.freshKey(type), blob: contentOf(content) }
    model.held = await insertRow(model, world, trx, row)
  },
}

export const release: Action<{ commit: boolean }> = {
  name: 'release',
  weight: 3,
  params: fc.record({ commit: fc.boolean() }),
  possible: (model) => model.held !== null,
  async act(model, world, { commit }) {
    const { held } = model
    if (!held || !world.held) return
    await (commit ? world.held.commit() : world.held.rollback())
    world.held = null
    model.held = null
    if (commit) model.rows.push(held)
  },
}
