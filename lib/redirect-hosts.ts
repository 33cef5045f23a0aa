/**
 * Where a site may be sent for a blob: hosts with a port, or without one for the usual port of http or https. In one spelling, so
 * that what is compared is what is connected to.
 */

const ENTRY = /^(\[[0-9a-f:.]+\]|[^\s:/?#@\\[\]%*<>^|]+)(?::(\d{1,5}))?$/i

/** A host as an operator writes it, in its one spelling; null where it is none. Addresses of IPv6 stand in brackets. */
export function parseRedirectHost(entry: string): string | null {
  const [, name, port] = ENTRY.exec(entry.trim()) ?? []
  if (name === undefined || !URL.canParse(`http://${name}`)) return null
  const { hostname } = new URL(`http://${name}`)
  if (port === undefined) return hostname
  const number = Number(port)
  return number >= 1 && number <= 65_535 ? `${hostname}:${number}` : null
}

/** The host of an address, as it is compared: with its port unless that is the usual one of its scheme. */
export function hostOf(url: string): string {
  return new URL(url).host
}

/** Whether an address lies at one of the hosts. Those of a list are as parseRedirectHost and hostOf say. */
export function isAtHost(url: string, hosts: readonly string[]): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname, host, port } = new URL(url)
  const usual = protocol === 'https:' ? '443' : '80'
  return hosts.includes(host) || (port === '' && hosts.includes(`${hostname}:${usual}`))
}
