import { html } from '@remix-run/html-template'
import type { Site } from '../../../site-table.ts'
import type { Page, Visit } from '../page.ts'

/** Asks before a site goes. */
export function removePage(site: Site, { links }: Visit): Page {
  const title = `Remove site ${site.name}?`
  return {
    title,
    area: 'sites',
    live: null,
    regions: [
      {
        id: 'remove',
        html: html`<h1>${title}</h1>
<p class="notice warn">Removing a site stops the synchronization to and from it, within five seconds. Its files and its own database stay as they are.</p>
<form class="row" method="post" action="${links.site(site.id, 'remove')}"><button class="danger">Remove site</button> <a class="button" href="${links.sites}">Cancel</a></form>`,
      },
    ],
  }
}
