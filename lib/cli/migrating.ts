/** How the migrations of both databases are run with the host's knexfile, as a step to do. */
export function migrating(mainEnvironment: string | null): string {
  const main = mainEnvironment === null ? '' : ` --env ${mainEnvironment}`
  return `npx knex migrate:latest${main}
   and for the tracking database of each secondary: npx knex migrate:latest --env tracking`
}
