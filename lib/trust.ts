import { createSecureContext, getCACertificates } from 'node:tls'
import type { Agent } from 'undici'

/** What an Agent of undici has to know to trust the host's own authorities, given in PEM, beside Node's own. */
export function connectOptions(ca: readonly string[]): Pick<Agent.Options, 'connect'> {
  return ca.length > 0
    ? { connect: { secureContext: createSecureContext({ ca: [...getCACertificates(), ...ca] }) } }
    : {}
}
