/** Where a site's processes run, and at which addresses it meets the rest. */
export interface Place {
  /** What a command of the site is to be begun with; empty where it runs in the network of this machine. */
  readonly launcher: readonly string[]
  /** At which address the other sites reach it. */
  readonly address: string
  /** At which address its processes listen for both. */
  readonly listen: string
  /** At which address it is reached from this machine, outside of all sites: also while the sites are cut off from each other. */
  readonly fromMachine: string
  /** At which address its processes reach what runs on this machine outside of all sites: the database servers. */
  readonly machine: string
}

export interface Slowness {
  readonly delayMs: number
  /** In [0, 1]. */
  readonly loss: number
  /** Which pieces are lost, where it is the front that loses them. */
  readonly seed: string
}

/** The network between the sites. */
export interface Network {
  /** `namespaces`: drops packets as a real one would. `proxies`: the front of the primary does it, on this machine's own network. */
  readonly how: 'namespaces' | 'proxies'
  /** Why it is not what a machine that allows for it has; null where it is. */
  readonly fallback: string | null
  place(site: string): Place
  /** From now on no packet between the sites arrives, and nobody is told. Without namespaces this is up to the front. */
  cut(): Promise<void>
  heal(): Promise<void>
  /** Every packet takes so long, and a share of them is lost; null: none. False where this machine cannot do that. */
  slow(how: Slowness | null): Promise<boolean>
  /** Packets that a site has sent to the others since it is there, whatever became of them; null where nobody can tell. */
  sent(site: string): Promise<number | null>
  close(): Promise<void>
}

const HERE = '127.0.0.1'

/** Where namespaces are not to be had, or not wanted. */
export function loopback(fallback = 'one network for all is wanted'): Network {
  const place = { launcher: [], address: HERE, listen: HERE, fromMachine: HERE, machine: HERE }
  const nothing = async (): Promise<void> => undefined
  return {
    how: 'proxies',
    fallback,
    place: () => place,
    cut: nothing,
    heal: nothing,
    slow: async () => false,
    sent: async () => null,
    close: nothing,
  }
}
