import { z } from 'zod'
import type { Replicable } from '../../blob/replicable.ts'
import { statusShape } from './fields.ts'

/** The JSON schema (2020-12) of a site's status. Every answer has exactly its fields. */
export function statusSchema(
  replicables: readonly Pick<Replicable, 'names'>[],
  wording: 'node' | 'site',
): Record<string, unknown> {
  return {
    ...(z.toJSONSchema(statusShape(replicables, wording)) as Record<string, unknown>),
    title: `The status of a Geo ${wording}`,
  }
}
