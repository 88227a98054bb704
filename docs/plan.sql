-- The statements of a plan (contact_list/plan.py) where `email` and `phoneNumber` are filled from Pipedrive, as
-- PostgreSQL gets them. SQLite gets the same in its own dialect. What Python adds to `resolved` is not shown.
--
-- Table names are shortened: `listed` is the list, `links` is sync_links, `matches` is sync_identifier_matches_1, and
-- `stage`, `resolved`, `plan` and `orphaned` are sync_stage_1 and so on, for the connection with the id 1.
--
-- Written by test_plan_sql.py.

-- find_duplicates: Finds persons that share an identifier: only the most recent of them can own a contact.
SELECT stage.person_id, stage.person_version, stage.email, stage."phoneNumber"
FROM stage
WHERE stage.email IN (
    SELECT stage.email
    FROM stage
    WHERE stage.email IS NOT NULL
    GROUP BY stage.email
    HAVING count(*) > 1
)
UNION
SELECT stage.person_id, stage.person_version, stage.email, stage."phoneNumber"
FROM stage
WHERE stage."phoneNumber" IN (
    SELECT stage."phoneNumber"
    FROM stage
    WHERE stage."phoneNumber" IS NOT NULL
    GROUP BY stage."phoneNumber"
    HAVING count(*) > 1
);

-- find_identifier_matches: Finds contacts that have a person's identifier but aren't its own. Duplicates match nothing.
INSERT INTO matches (person_id, contact_id, identifier, own_contact_id, holder_id, adopted)
SELECT
    stage.person_id, listed.contact_id, 'email' AS identifier, own.contact_id AS own_contact_id,
    holder.person_id AS holder_id, holder.adopted
FROM stage
    JOIN listed ON lower(listed.email COLLATE "C") = stage.email
    LEFT OUTER JOIN links AS own ON own.connection_id = 1 AND own.person_id = stage.person_id
    LEFT OUTER JOIN links AS holder ON holder.connection_id = 1 AND holder.contact_id = listed.contact_id
    LEFT OUTER JOIN resolved ON resolved.person_id = stage.person_id
WHERE own.contact_id IS DISTINCT FROM listed.contact_id AND resolved.person_id IS NULL;

INSERT INTO matches (person_id, contact_id, identifier, own_contact_id, holder_id, adopted)
SELECT
    stage.person_id, listed.contact_id, 'phoneNumber' AS identifier, own.contact_id AS own_contact_id,
    holder.person_id AS holder_id, holder.adopted
FROM stage
    JOIN listed ON listed."phoneNumber" = stage."phoneNumber"
    LEFT OUTER JOIN links AS own ON own.connection_id = 1 AND own.person_id = stage.person_id
    LEFT OUTER JOIN links AS holder ON holder.connection_id = 1 AND holder.contact_id = listed.contact_id
    LEFT OUTER JOIN resolved ON resolved.person_id = stage.person_id
WHERE own.contact_id IS DISTINCT FROM listed.contact_id AND resolved.person_id IS NULL;

-- adopt_plain: A person without a contact adopts its only match, if that contact has no owner and no other match.
INSERT INTO resolved (person_id, state, contact_id, adopts, handed_over)
SELECT DISTINCT
    single_match.person_id, 'write' AS state, single_match.contact_id, true AS adopts, false AS handed_over
FROM (
    SELECT
        matches.person_id, matches.contact_id, matches.identifier, matches.own_contact_id, matches.holder_id,
        matches.adopted, min(matches.contact_id) OVER (PARTITION BY matches.person_id) AS first_contact,
        max(matches.contact_id) OVER (PARTITION BY matches.person_id) AS last_contact,
        min(matches.person_id) OVER (PARTITION BY matches.contact_id) AS first_person,
        max(matches.person_id) OVER (PARTITION BY matches.contact_id) AS last_person
    FROM matches
) AS single_match
WHERE single_match.own_contact_id IS NULL
    AND single_match.holder_id IS NULL
    AND single_match.first_contact = single_match.last_contact
    AND single_match.first_person = single_match.last_person;

-- resolve_rest: Resolves all other persons with matches, by the rules of `identity`.
SELECT matches.person_id, matches.contact_id, matches.identifier, matches.holder_id, matches.adopted
FROM matches LEFT OUTER JOIN resolved ON resolved.person_id = matches.person_id
WHERE resolved.person_id IS NULL;

-- decide_persons: Decides what to do for each person: the first case that applies.
INSERT INTO plan (person_id, contact_id, action, adopts, handed_over, owner_id, detail)
SELECT
    stage.person_id,
    CASE
        WHEN (
            resolved.state IS NOT DISTINCT FROM 'duplicate'
            OR stage.email IS NULL
            AND stage."phoneNumber" IS NULL
            AND listed.contact_id IS NULL
        ) THEN NULL
        ELSE listed.contact_id
    END AS contact_id,
    CASE
        WHEN (resolved.state IN ('duplicate', 'conflict')) THEN resolved.state
        WHEN (
            stage.email IS NULL
            AND stage."phoneNumber" IS NULL
            AND listed.contact_id IS NULL
        ) THEN 'rejected'
        WHEN (listed.contact_id IS NULL) THEN 'create'
        WHEN (CASE
            WHEN (stage.email IS NOT NULL AND nullif(listed.email, '') IS DISTINCT FROM stage.email) THEN true
            WHEN (
                stage."phoneNumber" IS NOT NULL
                AND nullif(listed."phoneNumber", '') IS DISTINCT FROM stage."phoneNumber"
            ) THEN true
            WHEN (deactivated_by_us.contact_id IS NOT NULL AND listed.active IS NOT true) THEN true
            ELSE false
        END IS true) THEN 'update'
        ELSE 'unchanged'
    END AS action,
    coalesce(resolved.adopts, false) AS adopts, coalesce(resolved.handed_over, false) AS handed_over,
    resolved.owner_id, resolved.detail
FROM stage
    LEFT OUTER JOIN (
        SELECT links.person_id, links.contact_id
        FROM links
        WHERE links.connection_id = 1
    ) AS own ON own.person_id = stage.person_id
    LEFT OUTER JOIN resolved ON resolved.person_id = stage.person_id
    LEFT OUTER JOIN listed ON listed.contact_id = coalesce(resolved.contact_id, own.contact_id)
    LEFT OUTER JOIN (
        SELECT links.contact_id
        FROM links
        WHERE links.connection_id = 1 AND links.deactivated
    ) AS deactivated_by_us ON deactivated_by_us.contact_id = listed.contact_id;

-- decide_orphaned: Decides what to do with this connection's contacts that no person has in the plan.
INSERT INTO orphaned (contact_id, action)
SELECT links.contact_id, CASE WHEN links.adopted THEN 'let_go' ELSE 'delete' END AS action
FROM links
    JOIN listed ON listed.contact_id = links.contact_id
    LEFT OUTER JOIN plan ON plan.contact_id = links.contact_id
WHERE links.connection_id = 1
    AND plan.contact_id IS NULL
    AND CASE WHEN links.adopted THEN 'let_go' ELSE 'delete' END IS NOT NULL;
