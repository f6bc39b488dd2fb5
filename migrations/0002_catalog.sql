-- What services publish: the OpenAPI document, and the guidance that goes with their scopes.

-- As published, as compact JSON text: jsonb would reorder its members, and with them paths and fields.
create table service_document (
  service_id text collate "C" primary key references service on delete cascade,
  digest text not null,
  document text not null,
  published_at timestamptz not null
);

create table service_guidance (
  service_id text collate "C" primary key references service on delete cascade,
  presets jsonb not null,
  jobs jsonb not null,
  workflows jsonb not null
);
