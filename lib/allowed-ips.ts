import { BlockList, isIP } from 'node:net'

/** From which addresses other sites may ask (GB.E.2). An IPv4 address is the same one where it is written as IPv6. */
export class AllowedIps {
  readonly #list = new BlockList()

  /** Addresses and ranges in CIDR notation. @throws RangeError naming the first that is neither */
  constructor(entries: readonly string[]) {
    for (const entry of entries) this.#add(entry)
  }

  /** Whatever is no address, as a proxy's header may hold it, is not among them. */
  includes(ip: string | undefined): boolean {
    const family = familyOf(ip ?? '')
    return ip !== undefined && family !== null && this.#list.check(ip, family)
  }

  #add(entry: string): void {
    const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
    const family = familyOf(address)
    const longest = family === 'ipv4' ? 32 : 128
    if (family === null || Number(prefix ?? longest) > longest)
      throw new RangeError(`${JSON.stringify(entry)} is neither an IP address nor a range of them, such as 10.0.0.0/8`)
    this.#list.addSubnet(address, Number(prefix ?? longest), family)
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | null {
  const version = isIP(address)
  return version === 0 ? null : version === 4 ? 'ipv4' : 'ipv6'
}

/** The default: everyone. What opens a door is the signature. */
export const EVERY_IP = Object.freeze(['0.0.0.0/0', '::/0'])
