import { z } from 'zod'
import { GeoError } from '../../errors.ts'
import type { RegistryPosition } from '../../registry/registry-page.ts'
import type { RegistrySort } from './finder.ts'
import { positionShape } from './position.ts'

/** A place in a list of registries as clients keep it: opaque to them, and of one order. */

const cursorShape = z.tuple([z.string(), positionShape.shape.value, positionShape.shape.registryId])

export function encodeCursor(sort: RegistrySort, { value, registryId }: RegistryPosition): string {
  return Buffer.from(JSON.stringify([sort, value, registryId])).toString('base64url')
}

/** @throws GeoError `INVALID_REQUEST` for anything that is no cursor of a list in this order */
export function decodeCursor(sort: RegistrySort, cursor: string): RegistryPosition {
  const parsed = cursorShape.safeParse(jsonOf(cursor))
  if (!parsed.success || parsed.data[0] !== sort) {
    throw new GeoError('INVALID_REQUEST', `${JSON.stringify(cursor.slice(0, 100))} is not a cursor of this list`)
  }
  const [, value, registryId] = parsed.data
  return { value, registryId }
}

function jsonOf(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return null
  }
}
