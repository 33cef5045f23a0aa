import type { Request } from 'express'
import { GeoError, messageOf } from '../errors.ts'

export interface AskerSettings {
  operator(request: Request): string | null | Promise<string | null>
}

/** Who asks, and from where: what the audit log keeps of a request. */
export interface Asker {
  readonly operator: string | null
  readonly ip: string | null
}

/** @throws GeoError `INTERNAL` where the host's function fails: nobody knows then in whose name it would be done */
export async function askerOf(settings: AskerSettings, request: Request): Promise<Asker> {
  try {
    return { operator: (await settings.operator(request)) ?? null, ip: request.ip ?? null }
  } catch (reason) {
    throw new GeoError('INTERNAL', 'operator() of the host failed', { cause: new Error(messageOf(reason)) })
  }
}
