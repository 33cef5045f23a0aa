import { type Check, TYPE_NAMES, TYPES } from './scene.ts'

export const twice: Check = {
  name: 'twice',
  promise: 'no record has two rows in a registry',
  async look({ secondaries }) {
    const found: string[] = []
    for (const { name, tracking } of secondaries) {
      for (const type of TYPE_NAMES) {
        const { registry, key } = TYPES[type]
        const rows = await tracking<{ id: string; count: number }>(
          `select ${key}::text as id, count(*)::int as count from ${registry} group by 1 having count(*) > 1`,
        )
        found.push(...rows.map(({ id, count }) => `${name}: ${type}/${id} has ${count} rows in ${registry}`))
      }
    }
    return found
  },
}
