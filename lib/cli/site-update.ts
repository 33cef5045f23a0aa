import type { Command } from 'commander'
import { GeoError } from '../errors.ts'
import { printable } from '../printable.ts'
import { requireNoFenceFor } from '../site-fence.ts'
import type { SiteChange } from '../site-fields.ts'
import { updateSite } from '../site-table.ts'
import type { CommandLine } from './command-line.ts'
import { EXIT } from './exit-code.ts'
import { collect, explained } from './explained.ts'
import { numberOrNone, wholeNumber } from './numbers.ts'

interface UpdateOptions {
  name?: string
  url?: string
  internalUrl?: string
  filesMaxCapacity?: number
  verificationMaxCapacity?: number
  reverificationDays?: number
  copiesReverificationDays?: number | 'none'
  bytesPerSecond?: number | 'none'
  selectBy?: string
  namespace?: string[]
  shard?: string[]
  redirectHost?: string[]
}

export function siteUpdateCommand(cli: CommandLine): Command {
  return explained({
    name: 'update',
    description: 'Changes settings of a site. Run it where the config names the database of the primary.',
    text: 'Running processes of that site follow within five seconds. `geo pause` and `geo resume` enable and disable it.',
    examples: [
      'site update paris --files-max-capacity 20 --bytes-per-second 5000000',
      'site update paris --select-by namespaces --namespace 7 --namespace 9',
      'site update tokyo --redirect-host files.example --redirect-host 10.0.0.5:9000',
      'site update paris --select-by all --bytes-per-second none',
    ],
    exits: { ok: 'changed' },
  })
    .argument('<name>', 'the siteName of its processes')
    .option('--name <name>', 'another name; its processes start again with that siteName')
    .option('--url <url>', 'where people reach it')
    .option('--internal-url <url>', 'where the other sites reach it; `none`: where people do')
    .option('--files-max-capacity <count>', 'open transfers at once; 0 pauses them', wholeNumber)
    .option('--verification-max-capacity <count>', 'checksum batches at once; 0 pauses them', wholeNumber)
    .option('--reverification-days <days>', 'the primary hashes its files again after so many days', wholeNumber)
    .option('--copies-reverification-days <days>', 'a secondary its copies; `none`: never', numberOrNone)
    .option('--bytes-per-second <bytes>', 'what its processes receive together at most; `none`: no limit', numberOrNone)
    .option('--select-by <type>', 'it holds only what is selected, as `scope` of the types reads it; `all`: everything')
    .option('--namespace <id>', 'with --select-by; may be given several times', collect)
    .option('--shard <name>', 'with --select-by; may be given several times', collect)
    .option(
      '--redirect-host <host>',
      'where it may send other sites for a blob, instead of all before; several times; `none`: nowhere else',
      collect,
    )
    .action(
      cli.acting<UpdateOptions, [string]>((options, name) => {
        const change = changeOf(options)
        return cli.withSettings(options, async ({ mainDb }) => {
          await requireNoFenceFor(mainDb, change)
          const site = await updateSite(mainDb, name, change)
          cli.print(`Changed the site "${printable(site.name)}": ${Object.keys(change).join(', ')}\n`)
          return EXIT.ok
        })
      }),
    )
}

function changeOf(options: UpdateOptions): SiteChange {
  const { name, url, internalUrl, selectBy, namespace = [], shard = [] } = options
  if (selectBy === undefined && namespace.length + shard.length > 0) {
    throw new GeoError('INVALID_REQUEST', '--namespace and --shard need --select-by')
  }
  const change: Record<string, unknown> = {
    name,
    url,
    internalUrl: nullForNone(internalUrl),
    filesMaxCapacity: options.filesMaxCapacity,
    verificationMaxCapacity: options.verificationMaxCapacity,
    minimumReverificationIntervalDays: options.reverificationDays,
    copiesReverificationIntervalDays: nullForNone(options.copiesReverificationDays),
    transferBytesPerSecond: nullForNone(options.bytesPerSecond),
    selectiveSync:
      selectBy === undefined
        ? undefined
        : selectBy === 'all'
          ? null
          : { type: selectBy, namespaceIds: namespace, shards: shard },
    redirectHosts: hostsOf(options.redirectHost),
  }
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as SiteChange
  if (Object.keys(given).length === 0) throw new GeoError('INVALID_REQUEST', 'Nothing is to be changed')
  return given
}

function hostsOf(given: readonly string[] | undefined): readonly string[] | undefined {
  if (!given?.includes('none')) return given
  if (given.length > 1) throw new GeoError('INVALID_REQUEST', '--redirect-host none stands alone')
  return []
}

function nullForNone<Value>(value: Value | 'none'): Value | null {
  return value === 'none' ? null : value
}
