import { html, type SafeHtml } from '@remix-run/html-template'
import type { Assets } from './assets.ts'
import type { Links } from './links.ts'
import { noticeOf } from './notices.ts'
import type { Area, Page, Region, Visit } from './page.ts'

export interface Frame {
  readonly assets: Assets
  readonly siteName: string
  readonly role: string
}

const AREAS: readonly (readonly [area: Area, path: string, title: string])[] = [
  ['sites', '/sites', 'Sites'],
  ['replication', '/replication', 'Replication'],
  ['failover', '/failover', 'Failover'],
  ['audit', '/audit', 'Audit log'],
]

/** The whole document around what a page shows. */
export function layout(page: Page, visit: Visit, { assets, siteName, role }: Frame): SafeHtml {
  const { links, request } = visit
  const isLive = page.live !== null
  return html`<!doctype html>
<html lang="en" data-language="${visit.format.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${page.title} · Geo</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${links.to(`/assets/${assets.style.name}`)}">
<script defer src="${links.to(`/assets/${assets.script.name}`)}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<p class="brand"><a href="${links.sites}">Geo</a> <span class="quiet">${siteName}, ${role}</span></p>
<nav aria-label="Geo">${AREAS.map((area) => areaLink(area, page.area, links))}</nav>
</header>
<main id="main" tabindex="-1" ${isLive ? html`data-live="${page.live}"` : ''}>
${noticeOf(request.query, visit.format)}
${page.regions.map(regionHtml)}
</main>
<footer class="bottom quiet">
<p><span id="liveness" role="status"></span> ${isLive ? html`<a href="${request.originalUrl}">Refresh</a>` : ''}</p>
</footer>
</body>
</html>
`
}

export function regionHtml({ id, html: content }: Region): SafeHtml {
  return html`<div class="region" id="${id}">${content}</div>
`
}

function areaLink([area, path, title]: (typeof AREAS)[number], current: Area, links: Links): SafeHtml {
  return html`<a class="tab" href="${links.to(path)}" ${area === current ? html`aria-current="page"` : ''}>${title}</a>`
}
