import type pg from 'pg'

/** The tables of a database's schema `public` in pg_dump's form and order, read from the catalogs. */
export async function dumpCatalogs(client: pg.Client, leftOut: readonly string[]): Promise<string> {
  // With nothing on the path, PostgreSQL's own functions write every name with its schema, as pg_dump does.
  await client.query(`set search_path = ''`)
  const statements: string[] = []
  for (const section of [tables, sequences, keys, indexes, foreignKeys]) {
    const { rows } = await client.query<{ statement: string }>(section, [leftOut])
    statements.push(...rows.map((row) => row.statement))
  }
  return `${statements.join('\n\n')}\n`
}

// Names sort by their bytes wherever the database's own collation would put them.
const tables = `
  select format(E'CREATE TABLE %I.%I (\\n    %s\\n);', n.nspname, c.relname,
    concat_ws(E',\\n    ',
      (select string_agg(
         format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
           || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
           || case when a.attnotnull then ' NOT NULL' else '' end,
         E',\\n    ' order by a.attnum)
       from pg_attribute a
       left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         and pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) is null
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      (select string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), E',\\n    ' order by k.conname)
       from pg_constraint k where k.conrelid = c.oid and k.contype = 'c'))) as statement
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relkind = 'r' and c.relname <> all($1)
  order by c.relname collate "C"`

const sequences = `
  select format(E'CREATE SEQUENCE %1$s%7$s\\n    START WITH %2$s\\n    INCREMENT BY %3$s\\n    NO MINVALUE\\n    NO MAXVALUE\\n'
      || E'    CACHE %4$s;\\n\\nALTER SEQUENCE %1$s OWNED BY %5$s.%6$I;\\n\\n'
      || E'ALTER TABLE ONLY %5$s ALTER COLUMN %6$I SET DEFAULT %8$s;',
    s.oid::regclass, q.seqstart, q.seqincrement, q.seqcache, c.oid::regclass, a.attname,
    case when q.seqtypid = 'bigint'::regtype then '' else E'\\n    AS ' || format_type(q.seqtypid, null) end,
    pg_get_expr(d.adbin, d.adrelid)) as statement
  from pg_sequence q join pg_class s on s.oid = q.seqrelid
  join pg_depend o on o.objid = s.oid and o.classid = 'pg_class'::regclass and o.deptype = 'a'
  join pg_class c on c.oid = o.refobjid join pg_attribute a on a.attrelid = c.oid and a.attnum = o.refobjsubid
  join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relname <> all($1)
  order by s.relname collate "C"`

const keys = constraints(`k.contype in ('p', 'u', 'x')`)
const foreignKeys = constraints(`k.contype = 'f'`)

function constraints(condition: string): string {
  return `
    select format(E'ALTER TABLE ONLY %s\\n    ADD CONSTRAINT %I %s;', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
      as statement
    from pg_constraint k join pg_class c on c.oid = k.conrelid
    where c.relnamespace = 'public'::regnamespace and c.relname <> all($1) and ${condition}
    order by c.relname collate "C", k.conname collate "C"`
}

// An index that an interrupted build left invalid must not look like a whole one.
const indexes = `
  select pg_get_indexdef(i.indexrelid) || ';' || case when i.indisvalid then '' else ' -- INVALID' end as statement
  from pg_index i join pg_class x on x.oid = i.indexrelid join pg_class c on c.oid = i.indrelid
  where c.relnamespace = 'public'::regnamespace and c.relname <> all($1)
    and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
  order by x.relname collate "C"`
