import { z } from 'zod'

const HIGHEST_ID = 2n ** 63n - 1n
const MOMENT = /^(\d{1,19}|infinity|-infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d){0,2})$/

export const registryIdShape = z.string().refine((id) => /^\d{1,19}$/.test(id) && BigInt(id) <= HIGHEST_ID, 'is no id')

/** A row's place in an order, where it comes from outside: what it is sorted by as PostgreSQL writes it, then its id. */
export const positionShape = z.strictObject({ value: z.string().regex(MOMENT), registryId: registryIdShape })
