import { ENCRYPTION_KEY } from './fixture-rows.ts'
import type { WatchedSites } from './watched-sites.ts'

/** All that two sites keep to themselves, by what it is. */
export function siteSecrets({ rome, paris }: WatchedSites): Record<string, string> {
  const { all } = rome.sites
  const { mainUrl, standbyUrl, trackingUrl, sites: urls } = paris.databases
  const keys = all.flatMap((site) => [
    { name: site.name, key: site },
    ...(site.nextKey ? [{ name: `${site.name}, of its next key`, key: site.nextKey }] : []),
  ])
  const databases = Object.entries({ mainUrl, standbyUrl, trackingUrl, ...urls })
  return {
    'the encryption key': ENCRYPTION_KEY.toString('hex'),
    'the encryption key in Base64': ENCRYPTION_KEY.toString('base64'),
    ...Object.fromEntries(keys.map(({ name, key }) => [`the secret of ${name}`, rome.sites.secretOf(key)])),
    ...Object.fromEntries(keys.map(({ name, key }) => [`the access key of ${name}`, key.accessKey])),
    ...Object.fromEntries(
      keys.map(({ name, key }) => [`the encrypted secret of ${name}`, key.secret.ciphertext.toString('hex')]),
    ),
    ...Object.fromEntries(databases.map(([name, url]) => [`the URL ${name}`, url])),
    ...Object.fromEntries(
      databases.flatMap(([name, url]) => {
        const { password } = new URL(url)
        return password ? [[`the password in ${name}`, password]] : []
      }),
    ),
  }
}
