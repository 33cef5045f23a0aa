import { createSecureContext, getCACertificates } from 'node:tls'
import type { Agent } from 'undici'

/** The authorities to trust, in PEM: the host's own ones beside Node's, for a redirect may lead to a public store. Null: Node's alone. */
export function trustedAuthorities(ca: readonly string[]): string[] | null {
  return ca.length > 0 ? [...getCACertificates(), ...ca] : null
}

/** What an Agent of undici has to know to trust them. */
export function connectOptions(given: readonly string[]): Pick<Agent.Options, 'connect'> {
  const ca = trustedAuthorities(given)
  return ca ? { connect: { secureContext: createSecureContext({ ca }) } } : {}
}
