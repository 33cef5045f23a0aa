import { thisProcess } from '../../lib/process-identity.ts'

/** A process that says who it is, and lives on until it is ended. */
process.stdout.write(JSON.stringify(thisProcess()))
setInterval(() => undefined, 60_000)
