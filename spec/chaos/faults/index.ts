import { clock } from './clock.ts'
import { connections } from './connections.ts'
import { disk } from './disk.ts'
import { events } from './events.ts'
import { failover } from './failover.ts'
import type { Fault } from './fault.ts'
import { flags } from './flags.ts'
import { kill } from './kill.ts'
import { network } from './network.ts'
import { postgres } from './postgres.ts'
import { rot } from './rot.ts'
import { volume } from './volume.ts'

const ALL = [kill, network, connections, postgres, events, rot, disk, volume, clock, flags, failover]

/** All faults, by name. */
export const FAULTS: Readonly<Record<string, Fault>> = Object.freeze(
  Object.fromEntries(ALL.map((fault) => [fault.name, fault as unknown as Fault])),
)
