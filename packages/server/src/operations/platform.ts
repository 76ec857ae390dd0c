/** Whose PostgreSQL it is; `own`: nobody's that is known. */
export type Platform = 'own' | 'rds' | 'cloudsql' | 'azure' | 'supabase';

/** What tells platforms apart. */
export interface PlatformFacts {
  /** Names of roles of the cluster. */
  readonly roles: readonly string[];
  /** Names of settings. */
  readonly settings: readonly string[];
}

/** By the roles and settings that a platform brings. */
export function platformOf({ roles, settings }: PlatformFacts): Platform {
  if (roles.includes('supabase_admin')) return 'supabase';
  if (roles.includes('rds_superuser') || settings.some((name) => name.startsWith('rds.'))) return 'rds';
  if (roles.includes('cloudsqlsuperuser') || settings.some((name) => name.startsWith('cloudsql.')))
    return 'cloudsql';
  if (roles.includes('azure_pg_admin') || settings.some((name) => name.startsWith('azure.'))) return 'azure';
  return 'own';
}

/** For {@link PlatformFacts}. */
export const platformSql: string = `
select array(select r.rolname::text from pg_catalog.pg_roles r
              where r.rolname in ('supabase_admin', 'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')) as roles,
       array(select s.name from pg_catalog.pg_settings s where s.name ~ '^(rds|cloudsql|azure)\\.') as settings`;

/** What to do where ALTER SYSTEM and ALTER ROLE are not to be had; by what is wrong. */
export interface PlatformFixes {
  readonly walLevel: string;
  readonly walBound: string;
  /** @param role as it is written in SQL */
  readonly replication: (role: string) => string;
  /** A setting that can be changed at run time, by its name and value. */
  readonly setting: (name: string, value: string) => string;
}

const changeIn = (where: string) => (name: string, value: string) => `In ${where} set ${name} = ${value}.`;

/** How each platform is mended. */
export const platformFixes: Readonly<Record<Platform, PlatformFixes>> = {
  own: {
    walLevel: "ALTER SYSTEM SET wal_level = 'logical';  -- and restart PostgreSQL",
    walBound: "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();",
    replication: (role) => `ALTER ROLE ${role} REPLICATION;`,
    setting: (name, value) => `ALTER SYSTEM SET ${name} = '${value}'; SELECT pg_reload_conf();`,
  },
  rds: {
    walLevel: 'In the parameter group set rds.logical_replication = 1, and reboot the instance.',
    walBound: 'In the parameter group set max_slot_wal_keep_size = 20480 (MB).',
    replication: (role) => `GRANT rds_replication TO ${role};`,
    setting: changeIn('the parameter group'),
  },
  cloudsql: {
    walLevel: 'Set the database flag cloudsql.logical_decoding = on; the instance restarts.',
    walBound: 'Set the database flag max_slot_wal_keep_size = 20480 (MB).',
    replication: (role) => `ALTER USER ${role} WITH REPLICATION;  -- as a user that has cloudsqlsuperuser`,
    setting: changeIn('the database flags'),
  },
  azure: {
    walLevel: 'In the server parameters set wal_level = logical, and restart the server.',
    walBound: 'In the server parameters set max_slot_wal_keep_size = 20480 (MB).',
    replication: (role) => `ALTER ROLE ${role} WITH REPLICATION;  -- as a member of azure_pg_admin`,
    setting: changeIn('the server parameters'),
  },
  supabase: {
    walLevel:
      'wal_level is logical on Supabase; connect to the database itself, port 5432, not to the pooler.',
    walBound:
      "In the project's Postgres configuration (Management API or CLI) set max_slot_wal_keep_size = 20GB.",
    replication: (role) => `ALTER ROLE ${role} REPLICATION;  -- as the role postgres`,
    setting: changeIn("the project's Postgres configuration (Management API or CLI)"),
  },
};
