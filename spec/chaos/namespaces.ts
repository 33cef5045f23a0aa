import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { loopback, type Network, type Place, type Slowness } from './network.ts'

const run = promisify(execFile)
/** Several runs at once must not take the same addresses. */
const SECOND_BYTE = 64 + (process.pid % 128)
const FIRST_LINE_NET = 200

/**
 * Each site in a network namespace of its own, and a router in another one, over which alone the sites reach each other. Each has
 * besides a line to this machine, where its database servers are. Where the machine does not allow it: the network of the machine.
 */
export async function openNetwork(sites: readonly string[]): Promise<Network> {
  if (process.platform !== 'linux') return loopback(`${process.platform} has no network namespaces`)
  if (process.getuid?.() !== 0) return loopback('only root may make network namespaces')
  const network = new Namespaces(sites)
  try {
    await network.open()
    return network
  } catch (reason) {
    await network.close()
    // The kernel, or whoever confines this process, does not allow it.
    return loopback(`no network namespaces here: ${reason instanceof Error ? reason.message : String(reason)}`)
  }
}

class Namespaces implements Network {
  readonly how = 'namespaces'
  readonly fallback = null
  readonly #sites: readonly string[]
  readonly #router = `geo-chaos-${process.pid}-router`
  readonly #made: string[] = []
  #callOff: () => void = () => undefined

  constructor(sites: readonly string[]) {
    this.#sites = sites
  }

  async open(): Promise<void> {
    const names = [this.#router, ...this.#sites.map((site) => this.#nameOf(site))]
    this.#callOff = afterDeath('for name; do ip netns delete "$name"; done', ...names)
    for (const name of names) await this.#add(name)
    await inside(this.#router, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
    for (const [number, site] of this.#sites.entries()) await this.#connect(number + 1, this.#nameOf(site))
  }

  place(site: string): Place {
    const number = this.#sites.indexOf(site) + 1
    if (number === 0) throw new Error(`${site} has no place in the network`)
    return {
      launcher: ['nsenter', `--net=/run/netns/${this.#nameOf(site)}`, '--'],
      address: `10.${SECOND_BYTE}.${FIRST_LINE_NET + number}.2`,
      listen: '0.0.0.0',
      fromMachine: `10.${SECOND_BYTE}.${number}.2`,
      machine: `10.${SECOND_BYTE}.${number}.1`,
    }
  }

  /** A blackhole drops what it gets and sends no word of it. */
  async cut(): Promise<void> {
    for (const site of this.#sites) await inside(this.#router, ['ip', 'route', 'add', 'blackhole', this.#hole(site)])
  }

  async heal(): Promise<void> {
    for (const site of this.#sites) await inside(this.#router, ['ip', 'route', 'delete', 'blackhole', this.#hole(site)])
  }

  async slow(how: Slowness | null): Promise<boolean> {
    for (const number of this.#sites.keys()) {
      const device = ['dev', `site${number + 1}`, 'root']
      const delays = how && ['netem', 'delay', `${how.delayMs}ms`, 'loss', `${how.loss * 100}%`]
      try {
        await inside(this.#router, ['tc', 'qdisc', delays ? 'replace' : 'delete', ...device, ...(delays ?? [])])
      } catch (reason) {
        // Kernels without netem say this, and only of the first device.
        if (
          number === 0 &&
          /qdisc kind is unknown|No such file|Cannot delete qdisc with handle of zero/.test(String(reason))
        )
          return false
        throw reason
      }
    }
    return true
  }

  /** What arrives at the router's end of its line: also what is to go nowhere from there. */
  async sent(site: string): Promise<number> {
    const device = `site${this.#sites.indexOf(site) + 1}`
    const [link] = JSON.parse(await inside(this.#router, ['ip', '-json', '-statistics', 'link', 'show', 'dev', device]))
    const packets: unknown = link?.stats64?.rx?.packets
    if (typeof packets !== 'number') throw new Error(`ip says nothing of the packets of ${device}`)
    return packets
  }

  async close(): Promise<void> {
    // Their ends of the lines go with them, and so do the other ends.
    for (const name of this.#made.splice(0)) await run('ip', ['netns', 'delete', name])
    this.#callOff()
  }

  async #add(name: string): Promise<void> {
    await run('ip', ['netns', 'add', name])
    this.#made.push(name)
    await inside(name, ['ip', 'link', 'set', 'lo', 'up'])
  }

  async #connect(number: number, name: string): Promise<void> {
    const [machine, near] = [`gc${process.pid}m${number}`, 'machine']
    await run('ip', ['link', 'add', machine, 'type', 'veth', 'peer', 'name', near, 'netns', name])
    await address(null, machine, `10.${SECOND_BYTE}.${number}.1/24`)
    await address(name, near, `10.${SECOND_BYTE}.${number}.2/24`)
    const lines = `10.${SECOND_BYTE}.${FIRST_LINE_NET + number}`
    await inside(name, [
      'ip',
      'link',
      'add',
      'line',
      'type',
      'veth',
      'peer',
      'name',
      `site${number}`,
      'netns',
      this.#router,
    ])
    await address(name, 'line', `${lines}.2/24`)
    await address(this.#router, `site${number}`, `${lines}.1/24`)
    await inside(name, ['ip', 'route', 'add', `10.${SECOND_BYTE}.${FIRST_LINE_NET}.0/21`, 'via', `${lines}.1`])
  }

  #nameOf(site: string): string {
    return `geo-chaos-${process.pid}-${site}`
  }

  #hole(site: string): string {
    return `${this.place(site).address}/32`
  }
}

async function address(name: string | null, device: string, value: string): Promise<void> {
  for (const args of [
    ['address', 'add', value, 'dev', device],
    ['link', 'set', device, 'up'],
  ]) {
    await (name === null ? run('ip', args) : inside(name, ['ip', ...args]))
  }
}

async function inside(name: string, command: readonly string[]): Promise<string> {
  const { stdout } = await run('nsenter', [`--net=/run/netns/${name}`, '--', ...command])
  return stdout
}
