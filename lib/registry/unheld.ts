/**
 * Rows that nobody works. One whose lease is gone without its row having been freed (a table of leases that was emptied by hand)
 * is nobody's either. The lease is looked for only where one is named.
 */
export const UNHELD = '(lease_id is null or not exists (select from geo_leases l where l.id = lease_id))'
