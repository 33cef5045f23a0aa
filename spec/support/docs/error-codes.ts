import { ERROR_CODES } from '../../../lib/errors.ts'
import { page, table } from './markdown.ts'

export function errorCodes(): string {
  const rows = Object.entries(ERROR_CODES)
    .toSorted(([left], [right]) => left.localeCompare(right, 'en'))
    .map(([code, [status, advice]]) => [`\`${code}\``, String(status), advice])
  return page(
    'Error codes',
    'Every failure says what happened under one of these codes: in logs, registry rows (`error_code`), answers over HTTP (`code`), findings of health and errors (`GeoError.code`). The status is the one with which a route answers it; a finding of health with 200 is a hint, any other makes the site unhealthy.',
    table(['code', 'status', 'what to do'], rows),
  )
}
