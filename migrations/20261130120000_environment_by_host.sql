-- migrate:up
-- Which environment a URL's host belongs to: the table of `processes/adapters/kalshi/auth/
-- environments.py`, in its order; the first domain that the host is, or lies below, counts.
create function rl_environment_of_url(url text) returns text language sql immutable as $$
    with parsed as (
        select rtrim(
            trim('[]' from lower(substring(
                regexp_replace(url, '[\s]', '', 'g')
                from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?(\[[^]/?#]*\]|[^][/:?#]*)'
            ))), '.'
        ) as host
    ),
    hosts (place, domain, environment) as (
        values (1, 'demo-api.kalshi.com', 'demo'),
               (2, 'kalshi.co', 'demo'),
               (3, 'kalshi.com', 'production'),
               (4, 'localhost', 'simulated'),
               (5, '127.0.0.1', 'simulated'),
               (6, '::1', 'simulated')
    )
    select coalesce((
        select h.environment
        from parsed p
        join hosts h on p.host = h.domain or right(p.host, length(h.domain) + 1) = '.' || h.domain
        order by h.place
        limit 1
    ), 'unknown')
$$;

-- Sessions of this program know their environment; those from before it are told by their URL.
update rl_orderbook_sessions
set environment = rl_environment_of_url(websocket_url)
where session_uid is null
  and environment is distinct from rl_environment_of_url(websocket_url);

-- migrate:down
drop function rl_environment_of_url(text);
