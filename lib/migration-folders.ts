import { fileURLToPath } from 'node:url'

/** The folders of the system tables' migrations, for the `directory` lists of a host's knexfile. */
export const migrationFolders = Object.freeze({
  main: fileURLToPath(new URL('../migrations/main', import.meta.url)),
  tracking: fileURLToPath(new URL('../migrations/tracking', import.meta.url)),
})
