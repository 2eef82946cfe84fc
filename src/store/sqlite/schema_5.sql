-- Schema 5. The second factor of an account, as JSON; and how the user of a session proved who they
-- are: the values of `amr`, with blanks between.
ALTER TABLE users ADD COLUMN second_factor TEXT;
ALTER TABLE sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '';
